"""Distillation: a student is to be right, to say what its teacher says at every scale, and to see what it sees."""

from collections.abc import Sequence

import torch
from torch import Tensor

from baseline.data.loader import Batch
from baseline.losses import Loss, at_scale_of, multi_scale_terms, weighted_terms
from compress.features import Adapted
from compress.lessons import Teacher
from compress.teaching_settings import TaughtSettings


def distillation(
    teacher: Teacher, settings: TaughtSettings, student: Adapted | None = None, features_weight: float = 0.0
) -> Loss:
    """The weighted terms against the sharp crops and the teacher's outputs and, of an adapted student, its features.

    Outputs are compared with the teacher's output of the same size, or with its finest, resized, where it has none.
    """

    def loss(outputs: Sequence[Tensor], batch: Batch) -> dict[str, Tensor]:
        lesson = teacher(batch.blurred)
        terms: dict[str, Tensor] = {}
        if settings.sharp_weight:
            supervised = multi_scale_terms(outputs, batch.sharp, settings.loss)
            terms.update({name: settings.sharp_weight * term for name, term in supervised.items()})
        if settings.teacher_weight:
            targets = [_target(output, lesson.outputs) for output in outputs]
            wanted = settings.teacher_loss or settings.loss
            taught = weighted_terms(outputs, targets, batch.sharp.shape[-1], wanted)
            terms.update({f"teacher_{name}": settings.teacher_weight * term for name, term in taught.items()})
        if student is not None:
            pairs = zip(student.features, lesson.features, strict=True)
            distances = [relative_l1(own, taught) for own, taught in pairs]
            terms["teacher_features"] = features_weight * torch.stack(distances).mean()
        return terms

    return loss


def _target(output: Tensor, taught: Sequence[Tensor]) -> Tensor:
    return next((t for t in taught if t.shape == output.shape), at_scale_of(taught[-1], output))


def relative_l1(features: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference of features, N,C,H,W, over the mean absolute value of the target: 1 for no features."""
    target = at_scale_of(target, features)
    return (features.float() - target).abs().mean() / target.abs().mean().clamp_min(1e-12)
