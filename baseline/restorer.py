"""Restorers: whatever can be asked to restore, be it a network in memory or an opened file."""

from collections.abc import Callable, Iterable, Mapping
from numbers import Integral
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baseline.errors import UserError
from baseline.sizes import found_sizes
from baseline.tiles import Seam, blended, lay_tiles


class Restorer(Protocol):
    """N,3,H,W in 0..1 -> the restored N,3,H,W.

    H and W are multiples of `size_multiple`, `min_size` at least, or `fixed_size` if given.
    """

    size_multiple: int
    min_size: int
    fixed_size: tuple[int, int] | None
    max_batch: int | None

    def __call__(self, blurred: Tensor) -> Tensor: ...


def outputs_of(network: nn.Module, blurred: Tensor) -> list[Tensor]:
    """The network's outputs as a list from the coarsest scale to the finest, also for networks with one output."""
    outputs = network(blurred)
    return [outputs] if isinstance(outputs, Tensor) else list(outputs)


class Finest(nn.Module):
    """A network reduced to its finest output: the part that is deployed, counted and timed."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        state_sizes_(self, network)

    def forward(self, blurred: Tensor) -> Tensor:
        return outputs_of(self.network, blurred)[-1]


def on_device(network: nn.Module, device: str | torch.device) -> nn.Module:
    """The network, moved in place to a device, its weights channels last: the faster layout for convolutions."""
    network.to(device)
    for tensor in (*network.parameters(), *network.buffers()):
        if tensor.dim() == 4:
            tensor.data = tensor.data.contiguous(memory_format=torch.channels_last)
    return network


def size_multiple_of(network: nn.Module) -> int:
    """What the network's input height and width must be multiples of: as it states, or as was found by trying."""
    found = found_sizes(network)
    return _whole(network, "size_multiple", 1 if found is None else found.multiple)


def min_size_of(network: nn.Module) -> int:
    """The least height and width of the network's input: two multiples at least, since files take no single one."""
    found, multiple = found_sizes(network), size_multiple_of(network)
    least = _whole(network, "min_size", 1 if found is None else found.least)
    return max(2, -(-least // multiple)) * multiple


def state_sizes_(wrapped: Any, network: nn.Module) -> None:
    """Let what wraps a network state the sizes of its input."""
    wrapped.size_multiple, wrapped.min_size = size_multiple_of(network), min_size_of(network)


def stated_sizes(network: nn.Module) -> dict[str, str]:
    """What a deployable notes of the sizes of its input."""
    return {"size_multiple": str(size_multiple_of(network)), "min_size": str(min_size_of(network))}


def sizes_from(note: Mapping[str, Any], prefix: str = "") -> tuple[int, int]:
    """The multiple and the least size that a deployable notes; files of before stated no least size."""
    multiple = int(note[f"{prefix}size_multiple"])
    return multiple, int(note.get(f"{prefix}min_size", 2 * multiple))


def _whole(network: nn.Module, name: str, otherwise: int) -> int:
    stated = getattr(network, name, otherwise)
    if not isinstance(stated, Integral) or stated < 1:
        raise UserError(f"the network's {name} must be a whole number from 1 on; got {stated!r}. Change it.")
    return int(stated)


class NetworkRestorer:
    """A network in memory as a restorer, run without gradients on the device where its weights are."""

    fixed_size: tuple[int, int] | None = None

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self.size_multiple, self.min_size = size_multiple_of(network), min_size_of(network)
        self.max_batch: int | None = getattr(network, "max_batch", None)

    @torch.inference_mode()
    def __call__(self, blurred: Tensor) -> Tensor:
        first = next(self.network.parameters(), None)
        moved = blurred if first is None else blurred.to(first.device)
        return in_batches(lambda part: outputs_of(self.network, part)[-1], moved, self.max_batch)


def in_batches(run: Callable[[Tensor], Tensor], pictures: Tensor, max_batch: int | None) -> Tensor:
    """The result for N,3,H,W from something that takes at most so many pictures at once."""
    if max_batch is None or len(pictures) <= max_batch:
        return run(pictures)
    return torch.cat([run(part) for part in torch.split(pictures, max_batch)])


_MARGIN = 64
"""Pixels of a tile of fixed size that belong to its neighbour: a quarter of a side at most.

Measured on the shipped teacher in tiles of 256 against the whole picture of 401x623: the largest difference is 0.04
with 32 pixels, 0.003 with 48 and 0.0002 with 64.
"""
RAMP = 16
"""Pixels over which one tile fades into the next."""


def restore_any_size(restorer: Restorer, blurred: Tensor) -> Tensor:
    """N,3,H,W of any size -> the same size: padded by reflection to what the restorer takes, and cropped back.

    What is larger than the fixed size of a restorer goes through it in overlapping tiles.
    """
    height, width = blurred.shape[-2:]
    # Tiles, too, see the padding that the whole picture would get: a network treats a picture's border its own way.
    target = fitting_size((height, width), restorer.size_multiple, restorer.min_size)
    if restorer.fixed_size is not None:
        target = max(restorer.fixed_size[0], target[0]), max(restorer.fixed_size[1], target[1])
    bottom, right = target[0] - height, target[1] - width
    if bottom or right:
        # Reflection needs more pixels than it adds; pictures of a few pixels repeat their border instead.
        mode = "reflect" if bottom < height and right < width else "replicate"
        blurred = F.pad(blurred, (0, right, 0, bottom), mode=mode)
    whole = restorer(blurred) if target == (restorer.fixed_size or target) else _in_tiles(restorer, blurred)
    return whole[..., :height, :width]


def _in_tiles(restorer: Restorer, blurred: Tensor) -> Tensor:
    """N,3,H,W at least as large as the fixed size, in tiles of that size."""
    tile = restorer.fixed_size
    if tile is None:
        raise ValueError("only a restorer of a fixed size needs tiles")
    tiling = lay_tiles((blurred.shape[-2], blurred.shape[-1]), tile, fixed_seam(tile), restorer.size_multiple)
    restored = torch.empty_like(blurred)
    for place, part in blended(lambda windows: [restorer(blurred[..., *window]) for window in windows], tiling):
        restored[..., *place] = part
    return restored


def fixed_seam(tile: tuple[int, int]) -> Seam:
    """How tiles of a fixed size overlap: they cannot be made larger, so not by more than half of them."""
    margin = min(_MARGIN, min(tile) // 4)
    ramp = min(RAMP, margin // 4 * 2)
    return Seam(margin - ramp // 2, ramp)


def fitting_size(size: tuple[int, int], multiple: int, least: int = 1) -> tuple[int, int]:
    """The nearest height and width from the asked ones on that a network takes."""
    return _up_to(multiple, max(size[0], least)), _up_to(multiple, max(size[1], least))


def size_for(network: nn.Module, size: tuple[int, int]) -> tuple[int, int]:
    """The same for a network."""
    return fitting_size(size, size_multiple_of(network), min_size_of(network))


def check_crops(crops: Iterable[int], network: nn.Module) -> None:
    """A UserError if a side of square crops is not one that the network takes."""
    multiple, least = size_multiple_of(network), min_size_of(network)
    uneven = [crop for crop in crops if crop % multiple]
    if uneven:
        raise UserError(f"crops must be multiples of {multiple} for this network; got {uneven[0]}. Set another crop.")
    small = [crop for crop in crops if crop < least]
    if small and least > 2 * multiple:
        raise UserError(f"crops must have {least} pixels a side for this network; got {small[0]}. Set a larger crop.")


def check_size(size: tuple[int, int], multiple: int, least: int = 1) -> None:
    """A UserError if height or width is not a multiple of what the network takes, or too small to be traced."""
    right = fitting_size(size, multiple, least)
    if right != size:
        raise UserError(
            f"the size must be multiples of {multiple} from {max(least, 2 * multiple)} on; got {size[0]}x{size[1]}. "
            f"Take {right[0]}x{right[1]}."
        )


def _up_to(multiple: int, side: int) -> int:
    """The next multiple; at least two of them, because torch.export takes a side of one for a constant."""
    return max(2, -(-side // multiple)) * multiple
