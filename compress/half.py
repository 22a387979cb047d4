"""FP16 inference with FP32 pictures in and out."""

from torch import Tensor, nn

from baseline.restorer import Finest, size_multiple_of


class HalfPrecision(nn.Module):
    """A half-precision network behind a single-precision door; the finest output only."""

    def __init__(self, half_network: nn.Module) -> None:
        super().__init__()
        self.network = Finest(half_network)
        self.size_multiple = size_multiple_of(half_network)

    def forward(self, blurred: Tensor) -> Tensor:
        restored: Tensor = self.network(blurred.half())
        return restored.float()
