"""Rewritings of a user's network: each is compared with the original on real crops before it is kept."""

import copy
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.fx import GraphModule

from baseline.data.loader import to_tensor
from baseline.data.photos import FOLDER, load_photo
from baseline.data.pictures import list_pictures
from baseline.errors import first_line
from baseline.restorer import outputs_of, size_for

MOST_APART = 1e-5
"""The largest relative difference of a rewriting that is exact: FP32 sums in another order stay below it."""

LEFT_OUT = "left_out"

_SMALL = ((64, 96), (48, 40))


def copied(network: nn.Module) -> nn.Module:
    """A copy, of layers too whose weights are computed in hooks: torch does not copy what has a gradient's history."""
    computed = [t for layer in network.modules() for t in vars(layer).values() if isinstance(t, Tensor)]
    return copy.deepcopy(network, {id(t): t.detach().clone() for t in computed})


def some_crops(crops: Sequence[Tensor], network: nn.Module) -> list[Tensor]:
    """Three of the crops, each 1,3,H,W, as parts of different sizes that the network takes."""
    shares = ((1.0, 1.0), (0.5, 1.0), (0.5, 0.5))
    return [_part(crops[i % len(crops)], network, share) for i, share in enumerate(shares)]


def _part(crop: Tensor, network: nn.Module, share: tuple[float, float]) -> Tensor:
    height, width = size_for(network, (int(crop.shape[-2] * share[0]), int(crop.shape[-1] * share[1])))
    return crop[..., :height, :width]


def small_photographs(network: nn.Module) -> list[Tensor]:
    """Parts of two shipped photographs, 1,3,H,W, of sizes that the network takes."""
    photographs = [to_tensor(load_photo(path))[None] for path in list_pictures(FOLDER / "val")[: len(_SMALL)]]
    sizes = [size_for(network, size) for size in _SMALL]
    return [photo[..., :h, :w].clone() for photo, (h, w) in zip(photographs, sizes, strict=True)]


def outputs_on(network: nn.Module, crops: Sequence[Tensor]) -> list[Tensor]:
    """The finest output of each crop."""
    with torch.no_grad():
        return [outputs_of(network, crop)[-1] for crop in crops]


def apart(outputs: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """The largest relative difference of any output: root mean squares; infinite where one is not finite."""
    worst = 0.0
    for one, other in zip(outputs, expected, strict=True):
        if one.shape != other.shape:
            return math.inf
        error, whole = ((t.double().square().mean().sqrt()) for t in (one - other, other))
        relative = float(error / whole) if whole else float(error)
        worst = max(worst, relative) if math.isfinite(relative) else math.inf
    return worst


def agreement_db(outputs: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """The least PSNR of any output against the expected one, in dB."""
    errors = [float((one - other).square().mean()) for one, other in zip(outputs, expected, strict=True)]
    return -10 * math.log10(max(*errors, 1e-20)) if all(map(math.isfinite, errors)) else -math.inf


def why_not(rewritten: nn.Module, crops: Sequence[Tensor], expected: Sequence[Tensor]) -> str | None:
    """Why a rewriting must be left out, if it must: it breaks, or its outputs are not the original's."""
    try:
        found = apart(outputs_on(rewritten, crops), expected)
    except Exception as broken:  # noqa: BLE001  whatever a foreign network says when it breaks is the reason
        return f"the network breaks ({first_line(broken)})"
    return None if found <= MOST_APART else f"the outputs differ by {found:.1e}"


def kept_if_same(
    graph: GraphModule, what: str, rewrite: Callable[[GraphModule], object], pictures: Sequence[Tensor]
) -> tuple[GraphModule, list[str]]:
    """The rewritten graph; or the graph as it was, with what was left out and why."""
    expected = outputs_on(graph, pictures)
    tried = copy.deepcopy(graph)
    rewrite(tried)
    reason = why_not(tried, pictures, expected)
    return (tried, []) if reason is None else (graph, [f"{what}: left out, since {reason}"])


def left_out_note(left_out: Sequence[str]) -> dict[str, str]:
    """What a file's note says of rewritings that were left out; nothing if none was."""
    return {LEFT_OUT: "; ".join(left_out)} if left_out else {}
