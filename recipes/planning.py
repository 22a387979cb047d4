"""What a recipe's prune steps would do, before anything is trained: the plans of --dry-run and of the prune command."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from baseline.data.datasets import open_data
from baseline.data.pairs import DataSet
from baseline.errors import UserError
from baseline.folding import deployed_form
from baseline.settings import FitSettings
from compress.channels import removed
from compress.layer_latency import LayerLatency
from compress.prune import PrunePlan
from compress.pruning_settings import PruneSettings
from compress.students import Plan
from recipes.beginnings import begun, check_beginnings, teacher_of
from recipes.fitting import tell
from recipes.schema import Recipe, Step
from recipes.stages.prune import plan_for
from recipes.stages.stage import StageInput
from recipes.store import Store

_BEFORE_TRAINING = "planned before the training that comes first: channels will be ranked anew after it"


@dataclass(frozen=True)
class PlannedStep:
    """A step of a chain; a plan if it prunes, and what a reader of the plan must know."""

    label: str
    plan: PrunePlan | None = None
    latency_ms: tuple[float, float] | None = None
    note: str = ""
    impossible: bool = False


def planned_chains(recipe: Recipe, out: Path) -> Iterator[tuple[str, list[PlannedStep]]]:
    """Every variant with its steps, planned on the weights that there are before any training.

    Sensitivity curves of the teacher are kept in the run's store, where the run itself will find them.
    """
    data = open_data(recipe.data)
    fitted = check_beginnings(recipe, data)
    recipe = fitted.recipe
    tell(fitted.notes)
    store = Store(out.parent / ".store")
    with store.held():
        for name, chain in recipe.variants.items():
            yield name, list(_planned(recipe, chain, data, store, out))


def _planned(recipe: Recipe, chain: list[Step], data: DataSet, store: Store, out: Path) -> Iterator[PlannedStep]:
    folder, teacher = teacher_of(recipe)
    network, as_it_will_be = teacher.network, folder is not None
    for step in chain:
        if step.settings.starts_anew:
            folder, as_it_will_be = None, False
            network = _started(step, (teacher.architecture, teacher.arguments))
        if isinstance(step.settings, PruneSettings):
            try:
                planned = plan_for(network, StageInput(folder, None, data, out, out, store), step.settings, False)
            except UserError as error:
                yield PlannedStep(step.label(), note=f"cannot be done: {error}", impossible=True)
                return
            note = "" if as_it_will_be else _BEFORE_TRAINING
            yield PlannedStep(step.label(), planned, latency_of(planned, step.settings), note)
            surveyed = planned.surveyed
            folder, network = None, removed(network, surveyed.channels, surveyed.removal(planned.chosen.widths))
        else:
            yield PlannedStep(step.label())
            if isinstance(step.settings, FitSettings):
                folder, as_it_will_be = None, False


def latency_of(planned: PrunePlan, settings: PruneSettings) -> tuple[float, float]:
    """Predicted milliseconds before and after, by the table of timed layers: those that the widths were chosen by."""
    if "latency_ms" in planned.predicted:
        return planned.predicted["unpruned_latency_ms"], planned.predicted["latency_ms"]
    clock = LayerLatency(settings.latency)
    priced = planned.surveyed.priced
    both = priced.total(planned.surveyed.unpruned, clock), priced.total(planned.chosen.widths, clock)
    clock.save()
    return both


def _started(step: Step, teacher: Plan) -> nn.Module:
    """The untrained network that a step begins with, as it will be deployed."""
    return deployed_form(begun(step, teacher)).network
