"""Output distillation: the student is to be right, and to say what the teacher says, at every scale."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from baseline.data.loader import Batch
from baseline.losses import Loss, at_scale_of, multi_scale_terms, weighted_terms
from baseline.restorer import outputs_of
from baseline.settings import LossSettings


def distillation(teacher: nn.Module, settings: LossSettings, teacher_weight: float) -> Loss:
    """The terms against the sharp crops, plus `teacher_weight` times the same against the teacher's outputs.

    Outputs are compared with the teacher's output of the same size, or with its finest, resized, where it has none.
    """
    teacher.eval().requires_grad_(False)

    def loss(outputs: Sequence[Tensor], batch: Batch) -> dict[str, Tensor]:
        teacher.to(batch.blurred.device)
        with torch.no_grad():
            taught = outputs_of(teacher, batch.blurred)
        terms = multi_scale_terms(outputs, batch.sharp, settings)
        targets = [next((t for t in taught if t.shape == o.shape), at_scale_of(taught[-1], o)) for o in outputs]
        from_teacher = weighted_terms(outputs, targets, batch.sharp.shape[-1], settings)
        terms.update({f"teacher_{name}": teacher_weight * term for name, term in from_teacher.items()})
        return terms

    return loss
