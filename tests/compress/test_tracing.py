import contextlib
import io

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baseline.errors import UserError
from compress.graph import deployed_graph


class Branches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dark, self.bright = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)

    def forward(self, image: Tensor) -> Tensor:
        return self.bright(image) if image.mean() > 0.7 else self.dark(image)


class Warps(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.flow = nn.Conv2d(3, 2, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        height, width = image.shape[-2:]
        rows = torch.linspace(-1, 1, height, device=image.device, dtype=image.dtype)
        columns = torch.linspace(-1, 1, steps=width)
        ys, xs = torch.meshgrid(rows, columns, indexing="ij")
        grid = torch.stack([xs, ys], -1)[None] + 0.1 * self.flow(image).permute(0, 2, 3, 1)
        return F.grid_sample(image, grid, align_corners=True)


class Halves(nn.Module):
    """Takes multiples of 4, and says that it takes those of 2."""

    size_multiple = 2

    def __init__(self) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(3, 3, 4, 4), nn.ConvTranspose2d(3, 3, 4, 4)

    def forward(self, image: Tensor) -> Tensor:
        return image + self.up(self.down(image))


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (Branches(), ("test_tracing.py", "image.mean() > 0.7", "torch.where")),
        (Halves(), ("multiples of 2 from 4 on", "size_multiple", "min_size")),
    ],
)
def test_what_cannot_be_traced_is_one_line_that_says_why(network: nn.Module, words: tuple[str, ...]) -> None:
    with contextlib.redirect_stderr(io.StringIO()) as said, pytest.raises(UserError) as error:
        deployed_graph(network.eval(), torch.zeros(1, 3, 64, 96))
    assert all(word in str(error.value) for word in words)
    assert "\n" not in str(error.value)
    assert said.getvalue() == ""


def test_evenly_spaced_numbers_hold_for_any_size() -> None:
    network = Warps().eval()
    graph = deployed_graph(network, torch.zeros(1, 3, 64, 96))
    image = torch.rand(1, 3, 41, 57)
    with torch.no_grad():
        torch.testing.assert_close(graph(image), network(image), atol=1e-5, rtol=0)
