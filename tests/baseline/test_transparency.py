from collections.abc import Callable

import numpy as np
import pytest
from torch import Tensor
from torch.nn import functional as F

from baseline.bounded import BoundedRestorer
from baseline.data.pictures import Picture
from baseline.evaluate import Unchanged
from baseline.transparency import visible


class Blurs(Unchanged):
    """A network that sees 17 pixels around."""

    def __call__(self, blurred: Tensor) -> Tensor:
        return F.avg_pool2d(blurred, 17, 1, 8, count_include_pad=False)


def restored(pixels: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    seen = visible(pixels, alpha)
    assert seen is not None
    made = BoundedRestorer(Blurs(), 10**9)(seen.pixels)
    seen.settle_(made)
    return made


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_hidden_colours_change_nothing_and_stay(photo: Picture, dtype: type) -> None:
    scale = np.iinfo(dtype).max // 255
    pixels = photo[:131, :157].astype(dtype) * dtype(scale)
    y, x = np.mgrid[:131, :157]
    alpha = np.where((y - 60) ** 2 + (x - 80) ** 2 < 50**2, np.iinfo(dtype).max, 0).astype(dtype)
    hidden, made = alpha == 0, []
    for colour in ((0, 0, 0), (0, 255, 0)):
        given = pixels.copy()
        given[hidden] = np.array(colour) * scale
        made.append(restored(given, alpha))
        assert np.array_equal(made[-1][hidden], given[hidden])
    assert np.array_equal(made[0][~hidden], made[1][~hidden])
    own = BoundedRestorer(Blurs(), 10**9)(pixels)
    assert np.abs(made[0][~hidden].astype(int) - own[~hidden]).mean() < 5 * scale


def test_what_is_almost_hidden_changes_little(photo: Picture) -> None:
    alpha = np.full((64, 80), 255, np.uint8)
    alpha[:, 40:] = 1
    dark, bright = photo[:64, :80].copy(), photo[:64, :80].copy()
    dark[:, 40:], bright[:, 40:] = 0, 255
    apart = restored(dark, alpha)[:, :40].astype(int) - restored(bright, alpha)[:, :40]
    assert np.abs(apart).max() <= 4  # unfilled, half of 255


@pytest.mark.parametrize("size", [(1, 1), (3, 1), (2, 5), (257, 3), (300, 2)])
def test_any_size_is_filled_with_what_is_seen(size: tuple[int, int], noise: Callable[..., Picture]) -> None:
    pixels, alpha = noise(*size), np.zeros(size, np.uint8)
    alpha[0, 0] = 255
    seen = visible(pixels, alpha)
    if size == (1, 1):
        assert seen is None
    else:
        assert seen is not None
        assert (seen.pixels == pixels[0, 0]).all()
    assert visible(pixels, np.full(size, 255, np.uint8)) is None
    assert visible(pixels, np.zeros(size, np.uint8)) is not None
