"""What several stages do alike: find their input, fit and save, and note in the lineage what was done."""

from pathlib import Path

from torch import nn

from baseline.artifact import Artifact, read_manifest
from baseline.distributed import process_number
from baseline.errors import UserError
from baseline.evaluate import mean_psnr
from baseline.losses import Loss
from baseline.phases import spans
from baseline.restorer import NetworkRestorer
from baseline.settings import FitSettings, Settings
from baseline.trainer import FitReport, fit
from recipes.stages.stage import StageInput, StageOutcome
from recipes.store import library_versions


def parent_of(given: StageInput, stage_name: str) -> Path:
    """The artifact that came before; a UserError at the start of a chain that needs one."""
    if given.parent is None:
        raise UserError(f"{stage_name} must follow a network; it stands first. Put train before it, or start from one.")
    return given.parent


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
    artifact: Artifact, loss: Loss, given: StageInput, settings: FitSettings, stage_name: str
) -> StageOutcome:
    """Fit an artifact's network on the data's training crops, watched on its validation pairs, and save it.

    Where the weights that are kept are not the last, those are saved in `last`.
    """
    report = fitted(artifact.network, loss, given, settings)
    remember_(artifact, stage_name, settings, given)
    if process_number() == 0:
        artifact.save(given.output)
        if report.last is not None:
            artifact.network.load_state_dict(report.last)
            artifact.save(given.output / "last")
    found = {
        "curve": report.curve,
        "kept_step": report.kept_step,
        "peak_memory_mb": round(report.peak_memory_mb),
        "data_notes": list(given.data.notes),
    }
    return StageOutcome(report.steps, report.minutes, pictures_of(settings), details=found)


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


def pictures_of(settings: FitSettings) -> int:
    """How many crops a training looks at."""
    return sum((span.end - span.first) * span.batch for span in spans(settings))
