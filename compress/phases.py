"""Transposed convolutions as ordinary ones, exactly: runtimes have integer kernels for these, and seldom for those.

With stride s, output row o = s*q + m - padding takes input rows q - j and kernel rows m + s*j. So the s*s phases m are
the channels of one convolution with a kernel of ceil(k/s), laid out by a pixel shuffle and cut to size.
"""

from collections.abc import Collection, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baseline.plain_layers import is_plain
from compress.rewriting import copied, outputs_on, why_not


class PhaseConv(nn.Module):
    """A transposed convolution (any stride, no dilation, one group) computed as convolution and pixel shuffle."""

    def __init__(self, transposed: nn.ConvTranspose2d) -> None:
        super().__init__()
        self.stride = int(transposed.stride[0])
        self.pads = tuple(int(p) for p in transposed.padding)
        self.kernel = tuple(int(k) for k in transposed.kernel_size)
        self.extra = tuple(int(e) for e in transposed.output_padding)
        taps = tuple(-(-k // self.stride) for k in self.kernel)
        channels = transposed.out_channels * self.stride**2
        self.phases = nn.Conv2d(
            transposed.in_channels,
            channels,
            (taps[0], taps[1]),
            padding=(taps[0] - 1, taps[1] - 1),
            bias=transposed.bias is not None,
            device=transposed.weight.device,
            dtype=transposed.weight.dtype,
        )
        with torch.no_grad():
            self.phases.weight.copy_(_phases_of(transposed.weight, self.stride, (taps[0], taps[1])))
            if transposed.bias is not None and self.phases.bias is not None:
                self.phases.bias.copy_(transposed.bias.repeat_interleave(self.stride**2))

    def forward(self, features: Tensor, output_size: list[int] | None = None) -> Tensor:
        """As the transposed convolution: with `output_size` where its caller chooses between the possible ones."""
        rows, columns = output_size[-2:] if output_size is not None else self._size(features)
        if output_size is not None:
            # A row and a column more than any kernel reaches hold the bias alone.
            features = F.pad(features, (0, 1, 0, 1))
        whole = F.pixel_shuffle(self.phases(features), self.stride)
        top, left = self.pads
        return whole[..., top : top + rows, left : left + columns]

    def _size(self, features: Tensor) -> list[int]:
        return [
            (size - 1) * self.stride - 2 * pad + kernel + extra
            for size, pad, kernel, extra in zip(features.shape[-2:], self.pads, self.kernel, self.extra, strict=True)
        ]


def without_transposed(network: nn.Module, left: Collection[str] = ()) -> nn.Module:
    """A copy of the network with its transposed convolutions replaced where that is exact; others, and `left`, stay."""
    rewritten = copied(network)
    for name in replaceable(rewritten):
        if name not in left:
            parent, _, child = name.rpartition(".")
            layer = rewritten.get_submodule(name)
            if not isinstance(layer, nn.ConvTranspose2d):
                raise TypeError(f"{name} is no transposed convolution")
            setattr(rewritten.get_submodule(parent), child, PhaseConv(layer))
    return rewritten


def replaceable(network: nn.Module) -> list[str]:
    """The transposed convolutions that can be replaced as far as can be seen without running them."""
    found = [(name, layer) for name, layer in network.named_modules() if isinstance(layer, nn.ConvTranspose2d)]
    return [name for name, layer in found if is_plain(layer, nn.ConvTranspose2d) and _replaceable(layer)]


def left_transposed(network: nn.Module, crops: Sequence[Tensor]) -> dict[str, str]:
    """The transposed convolutions that must stay, by running the network on crops, each 1,3,H,W; with the reasons."""
    expected = outputs_on(network, crops)
    names = replaceable(network)
    if not names or why_not(without_transposed(network), crops, expected) is None:
        return {}
    left = dict.fromkeys(names, "")
    for name in names:
        reason = why_not(without_transposed(network, left.keys() - {name}), crops, expected)
        if reason is None:
            del left[name]
        else:
            left[name] = f"it stays a transposed convolution: {reason} as an ordinary one"
    return left


def _replaceable(layer: nn.ConvTranspose2d) -> bool:
    """One group, no dilation, one stride, and no output beyond the phases."""
    stride = layer.stride[0]
    reach = all(
        kernel + extra - int(str(pad)) <= -(-kernel // stride) * stride
        for kernel, extra, pad in zip(layer.kernel_size, layer.output_padding, layer.padding, strict=True)
    )
    return layer.groups == 1 and set(layer.dilation) == {1} and len(set(layer.stride)) == 1 and reach


def _phases_of(weight: Tensor, stride: int, taps: tuple[int, int]) -> Tensor:
    """I,O,kh,kw of a transposed convolution -> O*s*s,I,th,tw of the convolution, in the order of the pixel shuffle."""
    missing_rows, missing_columns = taps[0] * stride - weight.shape[2], taps[1] * stride - weight.shape[3]
    padded = F.pad(weight, (0, missing_columns, 0, missing_rows))
    # Kernel row m + s*j: j is the tap (reversed, for a convolution), m the phase.
    inputs, outputs = weight.shape[:2]
    split = padded.reshape(inputs, outputs, taps[0], stride, taps[1], stride)
    return split.flip(2, 4).permute(1, 3, 5, 0, 2, 4).flatten(0, 2)
