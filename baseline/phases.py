"""The phases of a progressive training as spans of steps, and the learning rate along them. Without torch."""

import math
from dataclasses import dataclass

from baseline.settings import FitSettings

_WARMUP_STEPS = 500
"""Of a rate that is constant after them: a share of the steps would depend on how many there are."""


@dataclass(frozen=True)
class Span:
    """The steps from `first` to before `end` (counted from 0), which are alike; `first_sample` is that of `first`."""

    name: str
    first: int
    end: int
    crop: int
    batch: int
    scales: int
    first_sample: int

    def sample(self, step: int) -> int:
        """The number of the first sample of a step, counted over the whole training."""
        return self.first_sample + (step - self.first) * self.batch


def spans(settings: FitSettings) -> list[Span]:
    """The phases in order, filling all steps; a training without phases is one span."""
    if not settings.phases:
        return [Span("", 0, settings.steps, settings.crop, settings.batch, 3, 0)]
    found: list[Span] = []
    first = first_sample = 0
    share = 0.0
    for phase in settings.phases:
        share += phase.share
        end = settings.steps if phase is settings.phases[-1] else round(share * settings.steps)
        batch = phase.batch or settings.batch
        found.append(Span(phase.name, first, end, phase.crop or settings.crop, batch, phase.scales, first_sample))
        first_sample += (end - first) * batch
        first = end
    return found


def crops_drawn(settings: FitSettings) -> int:
    """How many crops a training looks at."""
    return sum((span.end - span.first) * span.batch for span in spans(settings))


def learning_rate_share(step: int, settings: FitSettings) -> float:
    """The share of `lr` used in a step (counted from 0): a linear rise, then the schedule.

    "cosine": half a cosine down to zero. "halving": halved `halvings` times, at equal distances. "constant": 1 up
    to the last `decay_steps`, along which it falls as 1 - sqrt to zero (Hägele et al., NeurIPS 2024), so that no step
    before them depends on how many steps there are.
    """
    rise = _warmup_steps(settings)
    if step < rise:
        return (step + 1) / rise
    if settings.schedule == "constant":
        decayed = step - (settings.steps - settings.decay_steps)
        return 1 - math.sqrt(decayed / settings.decay_steps) if settings.decay_steps and decayed > 0 else 1.0
    if settings.schedule == "halving":
        return 0.5 ** (step * (settings.halvings + 1) // settings.steps)
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, settings.steps - rise)))


def _warmup_steps(settings: FitSettings) -> int:
    if settings.warmup_steps is not None:
        return settings.warmup_steps
    if settings.schedule == "constant":
        return _WARMUP_STEPS
    return max(1, round(settings.warmup * settings.steps)) if settings.warmup else 0
