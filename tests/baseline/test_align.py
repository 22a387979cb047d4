import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from baseline.align import align, inner_frame
from baseline.data.loader import to_tensor
from baseline.data.pictures import Picture
from baseline.metrics import psnr


def cut(picture: Picture) -> Tensor:
    """160x224 pixels out of the middle."""
    return to_tensor(picture[16:-16, 16:-16])[None]


def moved(picture: Picture, matrix: list[list[float]]) -> Picture:
    height, width = picture.shape[:2]
    return cv2.warpPerspective(picture, np.array(matrix, np.float64), (width, height), flags=cv2.INTER_CUBIC)


@pytest.mark.parametrize(
    "matrix",
    [
        [[1, 0, 1.4], [0, 1, -2.3], [0, 0, 1]],
        [[1.002, 0.004, -3.3], [-0.004, 1.001, 2.4], [1e-5, 0, 1]],
    ],
)
def test_a_shifted_picture_scores_as_the_unshifted_one(photo: Picture, matrix: list[list[float]]) -> None:
    smooth = cv2.GaussianBlur(photo, (0, 0), 1.2)
    restored, sharp = cut(moved(smooth, matrix)), cut(photo)
    in_place = psnr(cut(smooth), sharp).item()
    found = align(restored, sharp)
    assert found is not None
    assert psnr(*found).item() == pytest.approx(in_place, abs=0.1)
    assert psnr(restored, sharp).item() < in_place - 3


def test_only_what_is_defined_is_scored(photo: Picture) -> None:
    found = align(cut(moved(photo, [[1, 0, 5], [0, 1, -7], [0, 0, 1]])), cut(photo))
    assert found is not None
    # 5 columns and 7 rows moved out of the 160x224; an error of the alignment below a pixel may cost one more.
    assert found[0].shape == found[1].shape
    assert found[0].shape[2] in (152, 153)
    assert found[0].shape[3] in (218, 219)
    assert psnr(*found).item() > 30


def test_brightness_is_matched_by_one_factor(photo: Picture) -> None:
    sharp = to_tensor(photo)[None]
    found = align(0.8 * sharp, sharp)
    assert found is not None
    assert psnr(*found).item() > 45
    assert psnr(0.8 * sharp, sharp).item() < 25


def test_pictures_without_anything_in_common_are_not_aligned(photo: Picture) -> None:
    sharp = to_tensor(photo)[None]
    assert align(1 - sharp, sharp) is None
    assert align(torch.full_like(sharp, 0.4), sharp) is None


def test_the_frame_is_the_largest_without_a_hole_at_its_border() -> None:
    defined = np.ones((8, 10), bool)
    defined[0], defined[:, -2:] = False, False
    defined[7, 0] = False
    rows, columns = inner_frame(defined)
    assert defined[rows, columns].all()
    # The corner is left out with the shorter line, its column.
    assert (rows, columns) == (slice(1, 8), slice(1, 8))
    assert inner_frame(np.zeros((3, 4), bool))[0] == slice(3, 3)
