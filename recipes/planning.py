"""What a recipe's prune steps would do, before anything is trained: the plans of --dry-run and of the prune command."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from baseline.artifact import Artifact, load
from baseline.data.datasets import open_data
from baseline.data.pairs import DataSet
from baseline.errors import UserError
from baseline.folding import deployed_form
from baseline.settings import FitSettings, TrainSettings
from compress.channels import removed
from compress.layer_latency import LayerLatency
from compress.prune import PrunePlan
from compress.settings import DistillSettings, PruneSettings
from compress.students import student_plan
from recipes.resolve import artifact_folder
from recipes.schema import Recipe, Step
from recipes.stages.prune import plan_for
from recipes.stages.stage import StageInput
from recipes.store import Store

_BEFORE_TRAINING = "planned before the training that comes first: channels will be ranked anew after it"

_Plan = tuple[str, dict[str, Any]]


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
    store = Store(out.parent / ".store")
    with store.held():
        for name, chain in recipe.variants.items():
            yield name, list(_planned(recipe, chain, data, store, out))


def _planned(recipe: Recipe, chain: list[Step], data: DataSet, store: Store, out: Path) -> Iterator[PlannedStep]:
    folder, network, teacher = _teacher(recipe)
    as_it_will_be = folder is not None
    for step in chain:
        if step.settings.starts_anew:
            folder, network, as_it_will_be = None, _started(step, teacher), False
        if isinstance(step.settings, PruneSettings) and network is not None:
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


def _teacher(recipe: Recipe) -> tuple[Path | None, nn.Module | None, _Plan]:
    if recipe.teacher.network is not None:
        folder = artifact_folder(recipe.teacher.network)
        artifact = load(folder)
        return folder, artifact.network, (artifact.architecture, artifact.arguments)
    train = recipe.teacher.train
    if train is None or train.network is None:
        return None, None, ("mimo-unet", {})
    network = Artifact.new(train.network, train.arguments, train.seed).network
    return None, network, (train.network, train.arguments)


def _started(step: Step, teacher: _Plan) -> nn.Module:
    """The untrained network that a step begins with."""
    settings = step.settings
    if isinstance(settings, DistillSettings) and settings.student is not None:
        architecture, arguments = student_plan(settings.student, teacher, settings.arguments)
    elif isinstance(settings, TrainSettings) and settings.network is not None:
        architecture, arguments = settings.network, settings.arguments
    else:
        raise TypeError(f"{step.label()} starts from no network of its own")
    return deployed_form(Artifact.new(architecture, arguments, settings.seed)).network
