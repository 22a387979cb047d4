"""What a stage is given: the artifact before it, its teacher, and how the lineage remembers them."""

from pathlib import Path

from baseline.artifact import Artifact, read_manifest
from baseline.errors import UserError
from baseline.settings import Settings
from recipes.keys import library_versions
from recipes.stages.stage import StageInput


def parent_of(given: StageInput, stage_name: str) -> Path:
    """The artifact that came before; a UserError at the start of a chain that needs one."""
    if given.parent is None:
        raise UserError(f"{stage_name} must follow a network; it stands first. Put train before it, or start from one.")
    return given.parent


def teacher_folder(given: StageInput, stage_name: str) -> Path:
    """Where the root teacher is; a UserError if there is none."""
    if given.teacher is None:
        raise UserError(f"{stage_name} must have a teacher; there is none. Name one under teacher:.")
    return given.teacher


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
