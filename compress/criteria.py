"""Which channels matter least: pruning criteria by name. Each gives one number a channel of a dependency group.

Listing them does not import torch: each entry imports what it makes.
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


@CRITERIA.register("l1")
def l1() -> Criterion:
    """Mean absolute weight over all layers of the group (Li et al., ICLR 2017)."""
    from torch_pruning.pruner.importance import GroupMagnitudeImportance

    return GroupMagnitudeImportance(p=1)


@CRITERIA.register("l2")
def l2() -> Criterion:
    """Mean squared weight over all layers of the group."""
    from torch_pruning.pruner.importance import GroupMagnitudeImportance

    return GroupMagnitudeImportance(p=2)


@CRITERIA.register("fpgm")
def fpgm() -> Criterion:
    """Distance to the geometric median of the filters: the replaceable go first (He et al., CVPR 2019)."""
    from torch_pruning.pruner.importance import FPGMImportance

    return FPGMImportance()


@CRITERIA.register("random")
def random() -> Criterion:
    """Drawn by lot: the floor that every criterion must beat."""
    from torch_pruning.pruner.importance import RandomImportance

    return RandomImportance()
