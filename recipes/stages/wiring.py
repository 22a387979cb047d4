"""What several stages do alike: find their input, fit and save, and note in the lineage what was done."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from baseline.artifact import Artifact, load, read_manifest
from baseline.checksum import file_sha256
from baseline.data.loader import Batch, fixed_crops
from baseline.distributed import process_number
from baseline.errors import UserError
from baseline.evaluate import mean_psnr
from baseline.folding import MOST_APART, deployed_form, largest_difference
from baseline.losses import Loss
from baseline.phases import spans
from baseline.restorer import NetworkRestorer, check_crops
from baseline.settings import FitSettings, Settings
from baseline.trainer import FitReport, fit
from compress.cost import parameters
from compress.lessons import LessonCache, Teacher
from compress.students import Plan
from compress.trial import must_restore
from recipes.stages.stage import StageInput, StageOutcome
from recipes.store import key_of, library_versions, own_network_sha256, source_sha256


def parent_of(given: StageInput, stage_name: str) -> Path:
    """The artifact that came before; a UserError at the start of a chain that needs one."""
    if given.parent is None:
        raise UserError(f"{stage_name} must follow a network; it stands first. Put train before it, or start from one.")
    return given.parent


def new_network(plan: Plan, seed: int) -> Artifact:
    """The untrained network that a stage begins with; a UserError if it cannot be built, restore or be trained."""
    made = Artifact.new(*plan, seed)
    if not any(parameter.requires_grad for parameter in made.network.parameters()):
        raise UserError(f"network '{plan[0]}' must have weights to train; it has none. Choose another.")
    must_restore(made.network)
    return made


def remember_(artifact: Artifact, stage_name: str, settings: Settings, given: StageInput) -> None:
    """Add this stage to the artifact's lineage: settings, data, the teacher that taught it, and versions."""
    teacher = given.teacher if settings.uses_teacher else None
    artifact.lineage.append(
        {
            "stage": stage_name,
            "settings": settings.model_dump(mode="json"),
            "data": given.data.name,
            "teacher": None if teacher is None else read_manifest(teacher).weights_sha256,
            "versions": library_versions(),
        }
    )


def fit_and_save(
    artifact: Artifact,
    loss: Loss,
    given: StageInput,
    settings: FitSettings,
    stage_name: str,
    trained: nn.Module | None = None,
) -> StageOutcome:
    """Fit an artifact's network on the data's training crops, watched on its validation pairs, and save it.

    `trained` is the module that is fitted where it is more than the network, which is a part of it. Where the weights
    that are kept are not the last, those are saved in `last`.
    """
    trained = trained or artifact.network
    deployed_form(artifact)  # what cannot be folded says so before it is trained
    report = fitted(trained, loss, given, settings)
    remember_(artifact, stage_name, settings, given)
    found = {
        "curve": report.curve,
        "kept_step": report.kept_step,
        "precisions": report.precisions,
        "peak_memory_mb": round(report.peak_memory_mb),
        "data_notes": list(given.data.notes),
    }
    if process_number() == 0:
        found |= _save_folded(artifact, given.output, given, settings)
        if report.last is not None:
            trained.load_state_dict(report.last)
            _save_folded(artifact, given.output / "last", given, settings)
    return StageOutcome(report.steps, report.minutes, pictures_of(settings), details=found)


def some_crops(given: StageInput, settings: FitSettings, count: int) -> Batch:
    """A few training crops to look at, as large as the training's, which its networks take."""
    crop = max(settings.crops)
    return fixed_crops(given.data.training_crops(crop), count, crop, settings.seed)


def _save_folded(artifact: Artifact, folder: Path, given: StageInput, settings: FitSettings) -> dict[str, Any]:
    """Save an artifact, its branches folded; returns what there is to say of that."""
    plain = deployed_form(artifact)
    if plain is artifact:
        artifact.save(folder)
        return {}
    crops = some_crops(given, settings, 4).blurred
    apart = largest_difference(artifact.network.eval().cpu(), plain.network, crops)
    if apart > MOST_APART:
        raise RuntimeError(f"the folded network is {apart:g} off the one that was trained")
    plain.save(folder)
    return {"folded": {"largest_difference": apart, "training_params": parameters(artifact.network)}}


def fitted(network: nn.Module, loss: Loss, given: StageInput, settings: FitSettings) -> FitReport:
    """Fit a network in place on the data's training crops, watched on its validation pairs."""
    val = given.data.val
    return fit(
        network,
        given.data.training_crops(max(settings.crops)),
        loss,
        settings,
        given.scratch,
        validate=None if val is None else lambda network: mean_psnr(NetworkRestorer(network.eval()), val),
        tracking=given.output / "tracking",
    )


def teacher_for(given: StageInput, stage_name: str, settings: FitSettings, layers: Sequence[str] = ()) -> Teacher:
    """The root teacher, asked for outputs and these features; from a cache where crops repeat and there is a store."""
    folder = teacher_folder(given, stage_name)
    cache = None
    if settings.crop_set is not None and given.store is not None:
        expected = min(settings.crop_set, pictures_of(settings))
        cache = LessonCache(given.store.folder / "lessons" / _lessons_key(folder, layers), expected)
    network = load(folder).network
    check_crops(settings.crops, network)
    return Teacher(network, layers, cache)


def _lessons_key(teacher: Path, layers: Sequence[str]) -> str:
    """The key of what a teacher says of crops: it depends on all that computes it."""
    manifest = read_manifest(teacher)
    return key_of(
        {
            "teacher": file_sha256(teacher / "model.json"),
            "own_network": own_network_sha256(manifest.architecture),
            "layers": list(layers),
            "sources": source_sha256(("baseline", "compress/lessons.py", "compress/features.py")),
            "versions": library_versions(),
            "device": "cuda" if torch.cuda.is_available() else "cpu",
        }
    )


def teacher_folder(given: StageInput, stage_name: str) -> Path:
    """Where the root teacher is; a UserError if there is none."""
    if given.teacher is None:
        raise UserError(f"{stage_name} must have a teacher; there is none. Name one under teacher:.")
    return given.teacher


def pictures_of(settings: FitSettings) -> int:
    """How many crops a training looks at."""
    return sum((span.end - span.first) * span.batch for span in spans(settings))
