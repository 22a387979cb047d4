"""How far a cut is felt: the overlap that a restorer's tiles need, measured."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from baseline.data.loader import to_tensor
from baseline.data.photos import fixed_pairs
from baseline.restorer import RAMP, Restorer, restore_any_size
from baseline.tiles import Seam

_WINDOW = (256, 512)
_FARTHEST = 96
"""Pixels from a cut beyond which nothing is gained by a wider overlap."""
_LIMIT = 0.5 / 255
_ABOVE_REST = 1.25


@dataclass(frozen=True)
class MeasuredSeam:
    """The overlap, and the largest difference that is left between tiles and the whole picture, in 0..1.

    `rest` is that far from any cut: rounding in an INT8 network; much more in one that looks at the whole picture.
    """

    seam: Seam
    difference: float
    rest: float


def measure_seam(restorer: Restorer) -> MeasuredSeam:
    """The smallest overlap whose faded tiles differ from the whole picture by at most half a grey level.

    Measured on eight blurred photographs, each whole and cut in two. Where rounding alone moves more than that, as in
    INT8 networks, the overlap from which on a cut moves no more than rounding does.
    """
    felt = np.max([_felt(restorer, name) for name in fixed_pairs("val").names[::2]], axis=0)
    rest = float(felt[_FARTHEST:].max())
    limit = max(_LIMIT, _ABOVE_REST * rest)
    multiple = max(4, restorer.size_multiple)
    for skip in range(0, _FARTHEST - RAMP, multiple):
        difference = _faded_difference(felt, skip)
        if difference <= limit:
            break
    return MeasuredSeam(Seam(skip, RAMP), difference, rest)


def _felt(restorer: Restorer, name: str) -> NDArray[np.float64]:
    """The largest difference at each distance from a cut, in pixels from 0 on."""
    (pair,) = fixed_pairs("val").only([name])
    picture = to_tensor(pair.blurred)[None, :, : _WINDOW[0], : _WINDOW[1]]
    cut = _WINDOW[1] // 2 // restorer.size_multiple * restorer.size_multiple
    whole = restore_any_size(restorer, picture)
    left = (restore_any_size(restorer, picture[..., :cut]) - whole[..., :cut]).flip(-1)
    right = restore_any_size(restorer, picture[..., cut:]) - whole[..., cut:]
    by_distance = [
        side[..., : _WINDOW[1] // 2 - restorer.size_multiple].abs().amax(dim=(0, 1, 2)) for side in (left, right)
    ]
    felt: NDArray[np.float64] = np.maximum(*(side.double().cpu().numpy() for side in by_distance))
    return felt


def _faded_difference(felt: NDArray[np.float64], skip: int) -> float:
    """The most by which two tiles that fade into each other after `skip` pixels can differ from the whole picture."""
    farther = np.maximum.accumulate(felt[::-1])[::-1]
    weight = np.linspace(0, 1, RAMP + 2)[1:-1]
    ramp = farther[skip : skip + RAMP]
    return float(max(farther[skip + RAMP], (weight * ramp + (1 - weight) * ramp[::-1]).max()))
