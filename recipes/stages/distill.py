"""The distill stage: a new student, or what came before, learns from the root teacher."""

from baseline.artifact import Artifact, load
from baseline.errors import UserError
from compress.distill import distillation
from compress.settings import DistillSettings
from compress.students import student_plan
from recipes.stages.stage import StageInput, StageOutcome
from recipes.stages.wiring import fit_and_save, parent_of


def run(given: StageInput, settings: DistillSettings) -> StageOutcome:
    """Distil and save."""
    if given.teacher is None:
        raise UserError("distill must have a teacher; there is none. Name one under teacher:.")
    teacher = load(given.teacher)
    if settings.student is None:
        student = load(parent_of(given, "distill without a student's name"))
    else:
        architecture, arguments = student_plan(
            settings.student, (teacher.architecture, teacher.arguments), settings.arguments
        )
        student = Artifact.new(architecture, arguments, settings.seed)
    loss = distillation(teacher.network, settings.loss, settings.teacher_weight)
    return fit_and_save(student, loss, given, settings, "distill")
