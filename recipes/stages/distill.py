"""The distill stage: a new student, or what came before, learns from the root teacher."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from baseline.artifact import load
from baseline.errors import UserError
from baseline.progress import console
from compress.distill import distillation
from compress.features import Adapted, matched_by_scale
from compress.students import student_plan
from compress.teaching_settings import DistillSettings
from compress.warm_start import check_warm_start, warm_start_
from recipes.stages.given import parent_of, teacher_folder
from recipes.stages.stage import StageInput, StageOutcome
from recipes.stages.teaching import teacher_for
from recipes.stages.wiring import fit_and_save, new_network, some_crops

_WARM_CROPS = 32
"""How many training crops say which of the teacher's channels matter."""


def run(given: StageInput, settings: DistillSettings) -> StageOutcome:
    """Distil and save."""
    root = load(teacher_folder(given, "distill"))
    if settings.student is None:
        student = load(parent_of(given, "distill without a student's name"))
    else:
        plan = student_plan(settings.student, (root.architecture, root.arguments), settings.arguments)
        student = new_network(plan, settings.seed)
    pairs = features_of(student.network, root.network, settings)
    teacher = teacher_for(given, "distill", settings, list(pairs.values()))
    found = {}
    if settings.student is not None and settings.warm_start is not False:
        found["warm_start"] = _begun_warm_(student.network, root.network, given, settings)
    torch.manual_seed(settings.seed)  # of the adapters, whatever was done before in this process
    adapted = Adapted(student.network, root.network, pairs) if pairs else None
    loss = distillation(teacher, settings, adapted, settings.features_weight)
    outcome = fit_and_save(student, loss, given, settings, "distill", adapted)
    outcome.details |= found | {"features": pairs} | teacher.report()
    return outcome


def _begun_warm_(student: nn.Module, root: nn.Module, given: StageInput, settings: DistillSettings) -> dict[str, Any]:
    """Begin the student, in place, as what of the teacher fits; what was done, for the record."""
    if settings.warm_start is None:
        try:
            check_warm_start(student, root)
        except UserError as error:
            return {"copied": [], "none_because": str(error)}
    warm = warm_start_(student, root, [some_crops(given, settings, _WARM_CROPS)])
    layers = len(warm.copied) + len(warm.anew)
    console.print(f"warm start: {len(warm.copied)} of {layers} layers begin as the teacher's", highlight=False)
    return warm.as_json()


def features_of(student: nn.Module, teacher: nn.Module, settings: DistillSettings) -> Mapping[str, str]:
    """The layers whose features are compared, the student's -> the teacher's."""
    if not settings.features_weight:
        return {}
    return matched_by_scale(student, teacher) if settings.features == "scales" else settings.features
