"""Mixed precision: the layers that INT8 hurts most stay in float, as few as keep the loss under a limit."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import GraphModule

from compress import int8
from compress.graph import layer_name
from compress.known import Known, known_of
from compress.placing import CONVOLUTIONS

_CROPS, _SIDE = 8, 96
"""What is looked at, of the calibration crops: every layer is judged by all of them."""

CropPair = tuple[Tensor, Tensor]
"""Blurred and sharp, 1,3,H,W."""


@dataclass(frozen=True)
class LayerDamage:
    """What one layer alone in INT8 does: PSNR lost in dB, and the mean squared change of the output."""

    layer: str
    psnr_loss_db: float
    output_change: float


@dataclass(frozen=True)
class Choice:
    """The layers that stay in float, the damage of every layer, and the PSNR lost before and after, in dB."""

    in_float: tuple[str, ...]
    damage: list[LayerDamage]
    loss_of_all_db: float
    loss_db: float

    def as_json(self) -> dict[str, Any]:
        """The choice as JSON holds it."""
        return asdict(self) | {"in_float": list(self.in_float)}


def choose_layers(
    plan: int8.Plan,
    calibrated: Callable[[int8.Plan], GraphModule],
    pairs: list[CropPair],
    max_loss_db: float,
) -> Choice:
    """The fewest layers in float, the most harmful first, that keep the PSNR on training crops within the limit.

    `calibrated` gives the prepared and calibrated graph of a plan. Layers are ranked by how much they alone change the
    output: differences of PSNR are so small that chance decides them. The loss of a choice is measured, not added up.
    """
    looked_at = [(blurred[..., :_SIDE, :_SIDE], sharp[..., :_SIDE, :_SIDE]) for blurred, sharp in pairs[:_CROPS]]
    prepared = calibrated(plan)
    in_float = _outputs(prepared, looked_at)
    whole_db = _psnr_db(in_float, looked_at)
    damage = []
    for layer, known in _layers(prepared).items():
        with _simulated(known):
            outputs = _outputs(prepared, looked_at)
        change = sum(float((a - b).square().mean()) for a, b in zip(outputs, in_float, strict=True)) / len(outputs)
        damage.append(LayerDamage(layer, whole_db - _psnr_db(outputs, looked_at), change))
    damage.sort(key=lambda one: -one.output_change)

    def loss_db(count: int) -> float:
        tried = calibrated(replace(plan, in_float=tuple(one.layer for one in damage[:count])))
        with _simulated(known_of(tried)):
            return whole_db - _psnr_db(_outputs(tried, looked_at), looked_at)

    loss_of_all = loss_db(0)
    fewest, loss = _fewest(loss_db, len(damage), loss_of_all, max_loss_db)
    return Choice(tuple(one.layer for one in damage[:fewest]), damage, loss_of_all, loss)


def _fewest(loss_db: Callable[[int], float], most: int, loss_of_all: float, limit: float) -> tuple[int, float]:
    """By bisection: the smallest count within the limit, and its loss; with all layers in float nothing is lost."""
    if loss_of_all <= limit:
        return 0, loss_of_all
    low, high, loss = 0, most, 0.0
    while high - low > 1:
        middle = (low + high) // 2
        found = loss_db(middle)
        if found <= limit:
            high, loss = middle, found
        else:
            low = middle
    return high, loss


def _layers(prepared: GraphModule) -> dict[str, list[Known]]:
    """By layer: the scales of its input and of its weights. Its output is the input of the next."""
    found: dict[str, list[Known]] = {}
    for node in prepared.graph.nodes:
        if node.target in CONVOLUTIONS:
            around = [a for a in node.all_input_nodes if a.op == "call_module"]
            known = [m for m in (prepared.get_submodule(str(a.target)) for a in around) if isinstance(m, Known)]
            if known:
                found.setdefault(layer_name(node), []).extend(known)
    return found


@contextmanager
def _simulated(known: list[Known]) -> Iterator[None]:
    for one in known:
        one.simulates = True
    try:
        yield
    finally:
        for one in known:
            one.simulates = False


@torch.no_grad()
def _outputs(network: nn.Module, pairs: list[CropPair]) -> list[Tensor]:
    return [network(blurred).clamp(0, 1) for blurred, _ in pairs]


def _psnr_db(outputs: list[Tensor], pairs: list[CropPair]) -> float:
    """Without rounding to 8 bits, which would hide small differences."""
    errors = [float((o - sharp).square().mean()) for o, (_, sharp) in zip(outputs, pairs, strict=True)]
    return sum(-10 * torch.log10(torch.tensor(max(e, 1e-10))).item() for e in errors) / len(errors)
