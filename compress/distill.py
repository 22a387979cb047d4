"""Output distillation: the student is to be right, and to say what the teacher says, at every scale."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from baseline.data.loader import Batch
from baseline.losses import Loss, at_scale_of, multi_scale_terms
from baseline.restorer import outputs_of


def distillation(teacher: nn.Module, supervised: Loss, teacher_weight: float, frequency_weight: float) -> Loss:
    """The supervised terms, plus `teacher_weight` times the same loss against the teacher's outputs.

    Outputs are compared with the teacher's output of the same size, or with its finest, resized, where it has none.
    """
    teacher.eval().requires_grad_(False)

    def loss(outputs: Sequence[Tensor], batch: Batch) -> dict[str, Tensor]:
        teacher.to(batch.blurred.device)
        with torch.no_grad():
            taught = outputs_of(teacher, batch.blurred)
        terms = supervised(outputs, batch)
        for output in outputs:
            target = next((t for t in taught if t.shape == output.shape), at_scale_of(taught[-1], output))
            for name, term in multi_scale_terms([output], target, frequency_weight).items():
                terms[f"teacher_{name}"] = terms.get(f"teacher_{name}", torch.zeros_like(term)) + teacher_weight * term
        return terms

    return loss
