from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from baseline.bounded import BoundedRestorer
from baseline.budget import bytes_per_pixel, free_memory, parse_memory
from baseline.data.pictures import Picture
from baseline.errors import UserError
from baseline.evaluate import Unchanged
from baseline.restorer import NetworkRestorer
from baseline.seams import measure_seam
from baseline.tiles import Seam


class Fixed:
    """Takes batches of one size, and says so."""

    size_multiple, min_size = 4, 8
    fixed_size = (48, 64)
    max_batch: int | None = 3

    def __init__(self) -> None:
        self.asked: list[tuple[int, ...]] = []

    def __call__(self, blurred: Tensor) -> Tensor:
        self.asked.append(tuple(blurred.shape))
        assert blurred.shape[-2:] == self.fixed_size
        return blurred


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(1, 1), (3, 70), (97, 131)])
def test_every_kind_of_pixels_comes_back_as_it_was(dtype: type, channels: int, size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, np.iinfo(dtype).max + 1, (*size, channels)).astype(dtype)
    for restorer in (Unchanged(), Fixed()):
        restored = BoundedRestorer(restorer, 10**9, 500, Seam(8, 4))(pixels)
        assert restored.dtype == dtype
        assert np.array_equal(restored, pixels)


def test_grey_is_the_mean_of_what_the_network_gives() -> None:
    class Tinting(Unchanged):
        def __call__(self, blurred: Tensor) -> Tensor:
            return blurred + torch.tensor([0.1, 0.2, 0.0]).view(1, 3, 1, 1)

    pixels = np.full((4, 4, 1), 51, np.uint8)
    assert (BoundedRestorer(Tinting(), 10**9)(pixels) == round(255 * 0.3)).all()


def test_small_memory_gives_tiles_and_the_same_picture(tiny: Callable[..., nn.Module], photo: Picture) -> None:
    restorer = NetworkRestorer(tiny())
    whole = BoundedRestorer(restorer, 10**10)
    cut = BoundedRestorer(restorer, 4 * photo.nbytes + 33_000 * 100, 100, Seam(40, 8))
    heard: list[int] = []
    assert len(whole.tiling(photo.shape[:2], 0).columns) == 1
    assert cut.tiling(photo.shape[:2], photo.nbytes).seen_pixels > photo.shape[0] * photo.shape[1]
    assert np.abs(whole(photo).astype(int) - cut(photo, heard.append)).max() <= 1
    assert sum(heard) == photo.shape[0] * photo.shape[1]


def test_too_little_memory_is_refused_with_what_is_needed() -> None:
    bounded = BoundedRestorer(Unchanged(), 5_000_000, 1000, Seam(64, 16))
    with pytest.raises(
        UserError, match=r"^--memory must be at least (\d+)MB to restore 3000x2000 pixels .* 5MB"
    ) as error:
        bounded.tiling((2000, 3000), 2000 * 3000 * 3)
    needed = parse_memory(str(error.value).split("at least ")[1].split()[0])
    assert BoundedRestorer(Unchanged(), needed, 1000, Seam(64, 16)).tiling((2000, 3000), 18_000_000)


def test_small_tiles_of_a_fixed_size_go_together() -> None:
    restorer = Fixed()
    BoundedRestorer(restorer, 10**9, 500)(np.zeros((40, 300, 3), np.uint8))
    assert max(shape[0] for shape in restorer.asked) == 3


def test_a_broken_network_is_named() -> None:
    class Broken(Unchanged):
        def __call__(self, blurred: Tensor) -> Tensor:
            return blurred / 0

    with pytest.raises(
        UserError, match=r"the network must restore to a picture in 0\.\.1; it holds values that are not"
    ):
        BoundedRestorer(Broken(), 10**9)(np.zeros((4, 4, 3), np.uint8))


def test_the_seam_is_as_wide_as_a_cut_is_felt() -> None:
    class Averaging(Unchanged):
        def __init__(self, reach: int) -> None:
            self.layer = nn.AvgPool2d(2 * reach + 1, stride=1, padding=reach, count_include_pad=False)

        def __call__(self, blurred: Tensor) -> Tensor:
            return self.layer(blurred)

    widths = [measure_seam(Averaging(reach)).seam.overlap for reach in (4, 24)]
    assert widths[0] < 2 * 4 + 16 + 4
    assert widths[0] < widths[1] <= 2 * 24 + 16 + 4


def test_a_network_that_looks_at_everything_says_what_tiles_cost() -> None:
    class Centred(Unchanged):
        def __call__(self, blurred: Tensor) -> Tensor:
            return blurred - blurred.mean(dim=(-2, -1), keepdim=True)

    assert measure_seam(Unchanged()).rest == 0
    assert measure_seam(Centred()).rest > 0.02


def test_memory_a_pixel_is_measured() -> None:
    class Hungry(Unchanged):
        def __call__(self, blurred: Tensor) -> Tensor:
            held = [torch.ones_like(blurred) for _ in range(100)]
            return sum(held[1:], start=held[0])

    assert 1000 <= bytes_per_pixel(Hungry()) <= 2500
    assert bytes_per_pixel(Fixed()) < 1000
    assert free_memory() > 0


@pytest.mark.parametrize(("text", "expected"), [("1.5GB", 1_500_000_000), ("800mb", 800_000_000), ("2G", 2 * 10**9)])
def test_sizes_are_read(text: str, expected: int) -> None:
    assert parse_memory(text) == expected


@pytest.mark.parametrize("text", ["", "lots", "0GB", "-1GB", "1.5.2GB"])
def test_other_sizes_are_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"^--memory must be a size such as 1\.5GB or 800MB; got '"):
        parse_memory(text)
