"""Which channels matter least: pruning criteria by name. Each gives one number a channel of a dependency group.

Listing them does not import torch: torch-pruning is imported when one is made.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from baseline.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor
    from torch_pruning.dependency import Group

Criterion = Callable[["Group"], "Tensor"]
"""A dependency group -> the importance of each channel of its root layer; the least important go first."""

CRITERIA: Registry[Callable[[], Criterion]] = Registry("pruning criterion")


def _of_torch_pruning(name: str, **settings: int) -> Criterion:
    from torch_pruning.pruner import importance

    criterion: Criterion = getattr(importance, name)(**settings)
    return criterion


@CRITERIA.register("l1")
def l1() -> Criterion:
    """Mean absolute weight over all layers of the group (Li et al., ICLR 2017)."""
    return _of_torch_pruning("GroupMagnitudeImportance", p=1)


@CRITERIA.register("l2")
def l2() -> Criterion:
    """Mean squared weight over all layers of the group."""
    return _of_torch_pruning("GroupMagnitudeImportance", p=2)


@CRITERIA.register("fpgm")
def fpgm() -> Criterion:
    """Distance to the geometric median of the filters: the replaceable go first (He et al., CVPR 2019)."""
    return _of_torch_pruning("FPGMImportance")


@CRITERIA.register("random")
def random() -> Criterion:
    """Drawn by lot: the floor that every criterion must beat."""
    return _of_torch_pruning("RandomImportance")
