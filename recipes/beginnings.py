"""What the chains of a recipe begin with, built before anything is spent: what cannot work says so in seconds."""

from pathlib import Path

from torch import nn

from baseline.artifact import Artifact, load
from baseline.data.pairs import DataSet
from baseline.errors import UserError
from baseline.restorer import check_crops, check_size, min_size_of, size_multiple_of
from baseline.settings import FitSettings, Settings, TrainSettings
from compress.features import Adapted
from compress.pruning_settings import PruneSettings
from compress.quantizing_settings import QuantizeSettings
from compress.students import Plan, student_plan
from compress.teaching_settings import DistillSettings
from compress.trial import must_restore
from compress.warm_start import check_warm_start
from recipes.resolve import artifact_folder
from recipes.schema import Recipe, Step
from recipes.stages.distill import features_of
from recipes.stages.wiring import new_network


def teacher_of(recipe: Recipe) -> tuple[Path | None, Artifact]:
    """The teacher and its folder; one that the recipe trains as it is before that, and without a folder."""
    settings = recipe.teacher
    if settings.network is not None:
        folder = artifact_folder(settings.network)
        return folder, load(folder)
    if settings.train is None or settings.train.network is None:
        raise TypeError("the recipe was not checked: its teacher is neither named nor trained")
    return None, new_network((settings.train.network, settings.train.arguments), settings.train.seed)


def begun(step: Step, teacher: Plan) -> Artifact:
    """The untrained network that a step begins with."""
    settings = step.settings
    if isinstance(settings, DistillSettings) and settings.student is not None:
        return new_network(student_plan(settings.student, teacher, settings.arguments), settings.seed)
    if isinstance(settings, TrainSettings) and settings.network is not None:
        return new_network((settings.network, settings.arguments), settings.seed)
    raise TypeError(f"{step.label()} starts from no network of its own")


def check_beginnings(recipe: Recipe, data: DataSet | None = None) -> None:
    """A UserError for a teacher or student that is damaged, cannot be built, does not restore, or fits no other.

    With the opened data also for a stage that needs more of it than there is.
    """
    _, teacher = teacher_of(recipe)
    _check_network(teacher.network, recipe)
    for name, chain in recipe.variants.items():
        try:
            _check_chain(chain, teacher, recipe)
            if data is not None:
                _check_data(chain, data)
        except UserError as error:
            raise UserError(f"variants.{name}: {error}") from error


def _check_chain(chain: list[Step], teacher: Artifact, recipe: Recipe) -> None:
    network = teacher.network
    for step in chain:
        if step.settings.starts_anew:
            network = begun(step, (teacher.architecture, teacher.arguments)).network
            _check_network(network, recipe)
        if isinstance(step.settings, FitSettings):
            check_crops(step.settings.crops, network)
        if isinstance(step.settings, DistillSettings):
            pairs = features_of(network, teacher.network, step.settings)
            if pairs:
                Adapted(network, teacher.network, pairs)
            if step.settings.warm_start:
                check_warm_start(network, teacher.network)


def _check_data(chain: list[Step], data: DataSet) -> None:
    for step in chain:
        side = _crop_of(step.settings)
        if side is not None:
            data.training_crops(side)


def _crop_of(settings: Settings) -> int | None:
    """The largest side of the training crops that a stage looks at; None if it looks at none."""
    if isinstance(settings, FitSettings):
        return max(settings.crops)
    if isinstance(settings, QuantizeSettings):
        return max([settings.crop, *(settings.training.crops if settings.uses_teacher else [])])
    return settings.crop if isinstance(settings, PruneSettings) and settings.looks_at_crops else None


def _check_network(network: nn.Module, recipe: Recipe) -> None:
    must_restore(network)
    check_size(recipe.measure.size, size_multiple_of(network), min_size_of(network))
