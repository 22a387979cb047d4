"""What the chains of a recipe begin with, built before anything is spent: what cannot work says so in seconds."""

from dataclasses import dataclass
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
from recipes.fitting import fit_crops, fit_size
from recipes.resolve import artifact_folder
from recipes.schema import MeasureSettings, Recipe, Step
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


@dataclass(frozen=True)
class Fitted:
    """A recipe whose defaults fit its networks and data, and a note for each that took another's place."""

    recipe: Recipe
    notes: tuple[str, ...]


def check_beginnings(recipe: Recipe, data: DataSet | None = None) -> Fitted:
    """The recipe with its defaults fitted: see `recipes.fitting`.

    A UserError for a teacher or student that is damaged, cannot be built, does not restore, or fits no other. With the
    opened data also for a stage that needs more of it than there is.
    """
    _, teacher = teacher_of(recipe)
    check = _Check(recipe.measure, teacher, data)
    chains = {}
    for name, chain in recipe.variants.items():
        try:
            chains[name] = check.chain(chain)
        except UserError as error:
            raise UserError(f"variants.{name}: {error}") from error
    settings = recipe.teacher
    if settings.train is not None:
        step = check.step(Step(stage="train", settings=settings.train), teacher.network)
        settings = settings.model_copy(update={"train": step.settings})
    parts = {"teacher": settings, "variants": chains, "measure": check.measured()}
    return Fitted(recipe.model_copy(update=parts), tuple(dict.fromkeys(check.notes)))


class _Check:
    """Goes through chains with the networks that they begin with: fits each step, and checks it."""

    def __init__(self, measure: MeasureSettings, teacher: Artifact, data: DataSet | None) -> None:
        self._measure = measure
        self._teacher = teacher
        self._data = data
        self._networks: list[nn.Module] = []
        self.notes: list[str] = []
        self._restores(teacher.network)

    def chain(self, chain: list[Step]) -> list[Step]:
        """The steps of a chain, fitted."""
        network, fitted = self._teacher.network, []
        for step in chain:
            if step.settings.starts_anew:
                network = begun(step, (self._teacher.architecture, self._teacher.arguments)).network
                self._restores(network)
            fitted.append(self.step(step, network))
        return fitted

    def step(self, step: Step, network: nn.Module) -> Step:
        """One step on a network, fitted."""
        settings, notes = fit_crops(step.settings, network, self._teacher.network, self._data)
        self.notes += notes
        if isinstance(settings, FitSettings):
            check_crops(settings.crops, network)
        if isinstance(settings, DistillSettings):
            self._check_layers(settings, network)
        side = _crop_of(settings)
        if side is not None and self._data is not None:
            self._data.training_crops(side)
        return step.model_copy(update={"settings": settings})

    def measured(self) -> MeasureSettings:
        """What is measured, at a size that all networks take."""
        if "size" in self._measure.model_fields_set:
            return self._measure
        size, notes = fit_size(self._measure.size, self._networks)
        self.notes += notes
        return self._measure.model_copy(update={"size": size})

    def _check_layers(self, settings: DistillSettings, network: nn.Module) -> None:
        pairs = features_of(network, self._teacher.network, settings)
        if pairs:
            Adapted(network, self._teacher.network, pairs)
        if settings.warm_start:
            check_warm_start(network, self._teacher.network)

    def _restores(self, network: nn.Module) -> None:
        must_restore(network)
        if "size" in self._measure.model_fields_set:
            check_size(self._measure.size, size_multiple_of(network), min_size_of(network))
        self._networks.append(network)


def _crop_of(settings: Settings) -> int | None:
    """The largest side of the training crops that a stage looks at; None if it looks at none."""
    if isinstance(settings, FitSettings):
        return max(settings.crops)
    if isinstance(settings, QuantizeSettings):
        return max([settings.crop, *(settings.training.crops if settings.uses_teacher else [])])
    return settings.crop if isinstance(settings, PruneSettings) and settings.looks_at_crops else None
