"""Which channels matter least: pruning criteria by name. Each gives one number a channel of every dependency group.

Listing them does not import torch: what computes is imported when one is used.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from baseline.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor, nn

    from baseline.data.loader import Batch
    from compress.channels import Channels


class Criterion(Protocol):
    """One way to rank channels. `needs_data`: it looks at training crops."""

    needs_data: bool

    def importances(
        self, network: nn.Module, channels: Channels, names: Collection[str], batches: Sequence[Batch]
    ) -> Mapping[str, Tensor]:
        """The importance of each channel of the named groups' root layers; the least important go first."""


CRITERIA: Registry[Criterion] = Registry("pruning criterion")


class _OfWeights:
    """A criterion of torch-pruning's that looks at the group's weights alone."""

    needs_data = False
    kind = ""
    settings: Mapping[str, int] = {}

    def importances(
        self,
        network: nn.Module,  # noqa: ARG002  the groups hold the layers
        channels: Channels,
        names: Collection[str],
        batches: Sequence[Batch],  # noqa: ARG002  weights need no data
    ) -> Mapping[str, Tensor]:
        """The importances, group by group."""
        from torch_pruning.pruner import importance

        judge = getattr(importance, self.kind)(**self.settings)
        return {name: judge(channels.groups[name].raw) for name in names}


class _L1(_OfWeights):
    """Mean absolute weight over all layers of the group (Li et al., ICLR 2017)."""

    kind, settings = "GroupMagnitudeImportance", {"p": 1}


class _L2(_OfWeights):
    """Mean squared weight over all layers of the group."""

    kind, settings = "GroupMagnitudeImportance", {"p": 2}


class _FPGM(_OfWeights):
    """Distance to the geometric median of the filters: the replaceable go first (He et al., CVPR 2019)."""

    kind = "FPGMImportance"


class _Random(_OfWeights):
    """Drawn by lot: the floor that every criterion must beat."""

    kind = "RandomImportance"


class _Taylor:
    """First order: the loss that leaves with the channel, |gradient x weight| of its gate (Molchanov et al., 2019)."""

    needs_data = True

    def importances(
        self, network: nn.Module, channels: Channels, names: Collection[str], batches: Sequence[Batch]
    ) -> Mapping[str, Tensor]:
        """Mean over crops of the absolute gradient of the training loss at the channel's gate."""
        from compress.gates import mean_of_gates, training_losses

        return mean_of_gates(network, channels, names, training_losses(network, batches), lambda gate: gate.abs())


class _Fisher:
    """Second order: how far the output moves without the channel, by Gauss-Newton from random probes of it."""

    needs_data = True

    def importances(
        self, network: nn.Module, channels: Channels, names: Collection[str], batches: Sequence[Batch]
    ) -> Mapping[str, Tensor]:
        """Mean over crops and probes of the squared derivative of a random sum of the output at the channel's gate."""
        from compress.gates import mean_of_gates, probed_outputs

        return mean_of_gates(network, channels, names, probed_outputs(network, batches), lambda gate: gate.square())


CRITERIA.register("random")(_Random())
CRITERIA.register("l1")(_L1())
CRITERIA.register("l2")(_L2())
CRITERIA.register("fpgm")(_FPGM())
CRITERIA.register("taylor")(_Taylor())
CRITERIA.register("fisher")(_Fisher())
