from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from baseline.tiles import Seam, best_tile, blended, lay_tiles, least_pixels

SEAM = Seam(skip=8, ramp=4)


def restored(picture: Tensor, tile: tuple[int, int], restore: Callable[[Tensor], Tensor], batch: int = 1) -> Tensor:
    tiling = lay_tiles(picture.shape[-2:], tile, SEAM, 4)
    result = torch.full_like(picture, torch.nan)
    for window, part in blended(lambda ws: [restore(picture[..., *w]) for w in ws], tiling, batch):
        assert result[..., *window].isnan().all(), "each pixel once"
        result[..., *window] = part
    return result


@settings(max_examples=60, deadline=None)
@given(
    size=st.tuples(st.integers(1, 130), st.integers(1, 130)),
    tile=st.tuples(st.integers(24, 80), st.integers(24, 80)),
    batch=st.integers(1, 3),
)
def test_every_pixel_comes_once_and_as_it_was(size: tuple[int, int], tile: tuple[int, int], batch: int) -> None:
    picture = torch.rand(1, 3, *size)
    torch.testing.assert_close(restored(picture, tile, lambda part: part, batch), picture)


def test_what_a_cut_spoils_is_not_used() -> None:
    picture = torch.rand(1, 3, 120, 90)

    def mean_around(part: Tensor) -> Tensor:
        # Feels a cut over 8 pixels, as far as the tiles skip.
        return F.avg_pool2d(F.pad(part, (8, 8, 8, 8), mode="reflect"), 17, stride=1)

    torch.testing.assert_close(restored(picture, (48, 40), mean_around), mean_around(picture))
    narrow = Seam(skip=4, ramp=4)
    tiling = lay_tiles((120, 90), (48, 40), narrow, 4)
    parts = blended(lambda ws: [mean_around(picture[..., *w]) for w in ws], tiling)
    assert max((part - mean_around(picture)[..., *window]).abs().max() for window, part in parts) > 0.01


def test_a_step_between_tiles_fades() -> None:
    number = iter(range(2))
    faded = restored(torch.zeros(1, 1, 24, 44), (24, 32), lambda part: torch.full_like(part, float(next(number))))
    assert faded[0, 0, 0].diff().abs().max() == pytest.approx(1 / 5)
    assert [faded[0, 0, 0, 0], faded[0, 0, 0, -1]] == [0, 1]


def test_tiles_begin_at_multiples() -> None:
    tiling = lay_tiles((1000, 777), (200, 210), SEAM, 8)
    assert {span.start % 8 for span in (*tiling.rows, *tiling.columns)} == {0}
    assert max(span.stop - span.start for span in tiling.columns) <= 210
    with pytest.raises(ValueError, match="too small for an overlap of 20"):
        lay_tiles((100, 100), (20, 20), SEAM, 8)


@pytest.mark.parametrize("size", [(1000, 1000), (4320, 7680), (4097, 3), (64, 5000)])
def test_the_best_tile_fits_and_sees_least(size: tuple[int, int]) -> None:
    for pixels in (10_000, 90_000, 400_000):
        tile = best_tile(size, pixels, SEAM, 4)
        assert tile is not None
        assert tile[0] * tile[1] <= pixels
        seen = lay_tiles(size, tile, SEAM, 4).seen_pixels
        others = [(side, min(size[1], pixels // side)) for side in range(64, min(size[0], pixels // 64), 64)]
        assert all(seen <= 1.06 * lay_tiles(size, other, SEAM, 4).seen_pixels for other in others if other[1] > 40)
    assert best_tile(size, least_pixels(size, SEAM, 4), SEAM, 4) is not None
    assert best_tile(size, least_pixels(size, SEAM, 4) - 1, SEAM, 4) is None
