"""Defaults that do not fit the user's images or networks: the nearest that do take their place, and a note says so."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from torch import nn

from baseline.artifact import check_code, read_manifest, rebuild
from baseline.data.pairs import DataSet
from baseline.progress import console
from baseline.restorer import min_size_of, size_multiple_of
from baseline.settings import FitSettings, Settings
from compress.pruning_settings import PruneSettings
from compress.quantizing_settings import QuantizeSettings

S = TypeVar("S", bound=Settings)

SIZE = (256, 256)
"""Height and width that networks are traced and timed at where none are typed."""

_CROP_STEP = 4
"""What every setting of a crop must be a multiple of."""
_LEAST_CROP = 32
"""No default becomes smaller."""


@dataclass(frozen=True)
class Fit:
    """The sides that are possible: multiples from a least one on, up to the shortest side of images, if known."""

    multiple: int
    least: int
    longest: int | None = None

    @classmethod
    def of(cls, networks: Iterable[nn.Module], data: DataSet | None = None) -> Fit:
        """What all of these networks take, and the data's training images can give."""
        sides = [(size_multiple_of(network), min_size_of(network)) for network in networks]
        train = None if data is None else data.train
        return cls(
            math.lcm(*(multiple for multiple, _ in sides)),
            max((least for _, least in sides), default=1),
            None if train is None else train.largest_crop,
        )

    def nearest(self, side: int) -> int | None:
        """The largest possible side up to this one, else the smallest; None if there is none."""
        room = side if self.longest is None else min(side, self.longest)
        least = -(-self.least // self.multiple) * self.multiple
        found = max(room // self.multiple * self.multiple, least)
        return found if self.longest is None or found <= self.longest else None

    def why(self, side: int) -> str:
        """Why a side is not possible."""
        if self.longest is not None and side > self.longest:
            return f"the shortest side of the training images is {self.longest}"
        if side % self.multiple:
            return f"the network takes multiples of {self.multiple}"
        return f"the network takes no less than {self.least}"


def fit_crops(settings: S, network: nn.Module, teacher: nn.Module | None, data: DataSet | None) -> tuple[S, list[str]]:
    """A stage's settings, with crops that fit where their side was left to the default, and a note for each other side.

    What was typed stays, and so does a default that nothing fits: what is wrong then is told where it is checked.
    """
    both = [network, *([teacher] if teacher is not None else [])]
    if isinstance(settings, QuantizeSettings):
        fitted, notes = _fit_crop(settings, Fit.of([network], data), settings.scheme)
        if settings.uses_teacher:
            training, more = _fit_crop(settings.training, Fit.of(both, data), f"{settings.scheme}'s training")
            fitted, notes = _with(fitted, "train", training) if more else fitted, notes + more
        return fitted, notes
    if isinstance(settings, FitSettings) and (not settings.phases or any(p.crop is None for p in settings.phases)):
        return _fit_crop(settings, Fit.of(both if settings.uses_teacher else [network], data), "training")
    if isinstance(settings, PruneSettings) and settings.looks_at_crops:
        return _fit_crop(settings, Fit.of([network], data), "pruning")
    return settings, []


def _fit_crop(settings: S, fit: Fit, what: str) -> tuple[S, list[str]]:
    if "crop" in settings.model_fields_set:
        return settings, []
    least = fit.least if fit.least > 2 * fit.multiple else 1  # crops are not traced: one multiple will do
    fit = Fit(math.lcm(fit.multiple, _CROP_STEP), max(least, _LEAST_CROP), fit.longest)
    side: int = getattr(settings, "crop")  # noqa: B009  of the kinds of settings that have one
    found = fit.nearest(side)
    if found is None or found == side:
        return settings, []
    return _with(settings, "crop", found), [f"Crops of {what}: {found} instead of {side}; {fit.why(side)}."]


def _with(settings: S, key: str, value: object) -> S:
    """The settings with a value that was not typed: a stage is named by what was."""
    fitted = settings.model_copy(update={key: value})
    fitted.model_fields_set.discard(key)
    return fitted


def fit_size(size: tuple[int, int], networks: Iterable[nn.Module]) -> tuple[tuple[int, int], list[str]]:
    """The height and width, or the nearest that all networks take, with a note."""
    fit = Fit.of(networks)
    height, width = (fit.nearest(side) or side for side in size)
    if (height, width) == size:
        return size, []
    said = f"{height}x{width} instead of {size[0]}x{size[1]}"
    return (height, width), [f"Images that are traced and timed: {said}; {fit.why(size[0])}."]


def unloaded(folder: Path) -> nn.Module:
    """An artifact's network without its weights: enough to see what it takes."""
    check_code(folder)
    return rebuild(read_manifest(folder))


def told_size(networks: Iterable[nn.Module]) -> tuple[int, int]:
    """The usual height and width, or the nearest that all networks take; that is said."""
    size, notes = fit_size(SIZE, networks)
    tell(notes)
    return size


def tell(notes: Iterable[str]) -> None:
    """Say on the console what was fitted."""
    for note in notes:
        console.print(note, highlight=False, markup=False, soft_wrap=True)
