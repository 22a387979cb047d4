"""Convolutions that networks are built from, by name; some stand for a plain one and can begin as the nearest to it."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

ConvFactory = Callable[[int, int, int, int], nn.Module]
"""(in_channels, out_channels, kernel_size, stride) -> a layer that keeps the size at stride 1, halves it at 2."""


@runtime_checkable
class Imitates(Protocol):
    """A layer that stands for another kind of layer, of so many channels."""

    in_channels: int
    out_channels: int
    stands_for: type[nn.Module]

    def imitate_(self, layer: nn.Module) -> None:
        """Begin as the nearest to a layer of the kind that it stands for, of the same channels and kernel."""


def plain_conv(in_channels: int, out_channels: int, kernel_size: int, stride: int) -> nn.Module:
    """An ordinary convolution with bias, zero-padded."""
    return nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding=kernel_size // 2)


class SeparableConv(nn.Sequential):
    """A depthwise convolution, then a 1x1 one (MobileNets, arXiv 1704.04861)."""

    stands_for = nn.Conv2d

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int) -> None:
        padding = kernel_size // 2
        super().__init__(
            nn.Conv2d(in_channels, in_channels, kernel_size, stride, padding, groups=in_channels, bias=False),
            nn.Conv2d(in_channels, out_channels, 1),
        )
        self.in_channels = in_channels
        self.out_channels = out_channels

    @torch.no_grad()
    def imitate_(self, layer: nn.Module) -> None:
        """Of each input channel's kernels the best of rank one: one kernel, times a number for each output channel."""
        depthwise, pointwise = self
        kernels = layer.get_parameter("weight").transpose(0, 1).flatten(2)  # in, out, k*k
        left, scale, right = torch.linalg.svd(kernels, full_matrices=False)
        # The scale is shared out evenly, so that both convolutions learn at the same pace.
        root = scale[:, 0].sqrt()[:, None]
        depthwise.get_parameter("weight").copy_((root * right[:, 0]).view_as(depthwise.get_parameter("weight")))
        pointwise.get_parameter("weight").copy_((root * left[:, :, 0]).T[..., None, None])
        pointwise.get_parameter("bias").copy_(layer.get_parameter("bias"))


def separable_conv(in_channels: int, out_channels: int, kernel_size: int, stride: int) -> nn.Module:
    """Depthwise and 1x1; 1x1 convolutions and those of pictures stay plain."""
    if kernel_size == 1 or in_channels <= 3:
        return plain_conv(in_channels, out_channels, kernel_size, stride)
    return SeparableConv(in_channels, out_channels, kernel_size, stride)


class BranchedConv(nn.Module):
    """A 3x3 convolution trained as the sum of branches (RepVGG, arXiv 2101.03697; ECBSR, ACM MM 2021).

    The branches: a 3x3, a 1x1, a 1x1 followed by a 3x3 and, where sizes allow, the input itself. There is no
    normalization, so their sum is one 3x3 convolution at any time: it is what runs, in training, too, and costs no more
    than one. `folded` is that convolution for good.
    """

    stands_for = nn.Conv2d

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.stride = stride
        self.main = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1)
        self.point = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)
        self.expand = nn.Conv2d(in_channels, 2 * in_channels, 1, bias=False)
        self.squeeze = nn.Conv2d(2 * in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.passes_on = stride == 1 and in_channels == out_channels
        # All together they begin as one plain convolution does: the input itself, added in every layer, would blow up.
        self.imitate_(nn.Conv2d(in_channels, out_channels, 3, stride, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.kernel(), self.main.bias, self.stride, padding=1)

    def branches(self, x: Tensor) -> list[Tensor]:
        """What each branch gives, computed by itself."""
        given = [self.main(x), self.point(x), self.squeeze(self.expand(x))]
        return [*given, x] if self.passes_on else given

    def kernel(self) -> Tensor:
        """The weights of the sum of all branches: out, in, 3, 3."""
        return self.main.weight + self._beside()

    def _beside(self) -> Tensor:
        """The weights of the sum of all branches but the main one."""
        in_series = torch.einsum("omhw,mi->oihw", self.squeeze.weight, self.expand.weight[:, :, 0, 0])
        centre = self.point.weight
        if self.passes_on:
            identity = torch.eye(self.in_channels, device=centre.device, dtype=centre.dtype)
            centre = centre + identity[..., None, None]
        return in_series + F.pad(centre, (1, 1, 1, 1))

    @torch.no_grad()
    def folded(self) -> nn.Conv2d:
        """The same function as one plain convolution."""
        plain = nn.Conv2d(self.in_channels, self.out_channels, 3, self.stride, padding=1)
        plain.weight.copy_(self.kernel())
        plain.get_parameter("bias").copy_(self.main.get_parameter("bias"))
        return plain.to(self.main.weight)

    @torch.no_grad()
    def imitate_(self, layer: nn.Module) -> None:
        """Exactly: the main branch is what the others leave over."""
        self.main.weight.copy_(layer.get_parameter("weight") - self._beside())
        self.main.get_parameter("bias").copy_(layer.get_parameter("bias"))


def branched_conv(in_channels: int, out_channels: int, kernel_size: int, stride: int) -> nn.Module:
    """Branches for 3x3 convolutions; others stay plain."""
    if kernel_size != 3:
        return plain_conv(in_channels, out_channels, kernel_size, stride)
    return BranchedConv(in_channels, out_channels, stride)


CONVOLUTIONS: dict[str, ConvFactory] = {
    "plain": plain_conv,
    "separable": separable_conv,
    "branched": branched_conv,
}


class ShuffledUp(nn.Module):
    """Twice the size without a transposed convolution: a 3x3 one gives four phases, which are laid out as pixels.

    It can be any transposed convolution of kernel 4, stride 2 and padding 1, exactly.
    """

    stands_for = nn.ConvTranspose2d

    def __init__(self, in_channels: int, out_channels: int, conv: ConvFactory = plain_conv) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.phases = conv(in_channels, 4 * out_channels, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(self.phases(x), 2)

    @torch.no_grad()
    def imitate_(self, layer: nn.Module) -> None:
        """Each of the four phases of the output's pixels sees two by two of the input's."""
        weight = layer.get_parameter("weight")  # in, out, 4, 4
        plain = nn.Conv2d(self.in_channels, 4 * self.out_channels, 3, padding=1).to(weight)
        kernel = torch.zeros(self.out_channels, 2, 2, self.in_channels, 3, 3).to(weight)
        # Output row 2q + phase takes input rows q-1, q and q+1 with these rows of the kernel.
        taps = ({0: 3, 1: 1}, {1: 2, 2: 0})
        for row, rows in enumerate(taps):
            for column, columns in enumerate(taps):
                for y, kernel_y in rows.items():
                    for x, kernel_x in columns.items():
                        kernel[:, row, column, :, y, x] = weight[:, :, kernel_y, kernel_x].T
        plain.weight.copy_(kernel.flatten(0, 2))
        plain.get_parameter("bias").copy_(layer.get_parameter("bias").repeat_interleave(4))
        if isinstance(self.phases, Imitates):
            self.phases.imitate_(plain)
        else:
            self.phases.load_state_dict(plain.state_dict())
