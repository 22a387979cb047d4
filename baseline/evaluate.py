"""Scores of a restorer over fixed pairs: per picture, as means, and as paired differences with their spread."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from baseline.data.loader import to_tensor
from baseline.data.pairs import PairSet
from baseline.metrics import psnr, ssim
from baseline.restorer import Restorer, restore_any_size

_RESAMPLES = 2000


@dataclass(frozen=True)
class PictureScore:
    """One restored picture against its sharp one. `group` is the photograph or sequence that it was cut from."""

    name: str
    group: str
    psnr_db: float
    ssim: float


class Unchanged:
    """The restorer that returns its input: its scores are those of the blurred pictures."""

    size_multiple = 1
    fixed_size: tuple[int, int] | None = None
    max_batch: int | None = None

    def __call__(self, blurred: Tensor) -> Tensor:
        return blurred


def score(restorer: Restorer, pairs: PairSet) -> list[PictureScore]:
    """Score every pair, each at its own size."""
    scores = []
    for pair in pairs:
        sharp = to_tensor(pair.sharp)[None]
        restored = restore_any_size(restorer, to_tensor(pair.blurred)[None]).float().cpu()
        scores.append(PictureScore(pair.name, pair.group, psnr(restored, sharp).item(), ssim(restored, sharp).item()))
    return scores


def mean_psnr(restorer: Restorer, pairs: PairSet) -> float:
    """Mean PSNR in dB: what is watched while training, without the cost of the other metrics."""
    values = [
        psnr(restore_any_size(restorer, to_tensor(pair.blurred)[None]).float().cpu(), to_tensor(pair.sharp)[None])
        for pair in pairs
    ]
    return float(torch.cat(values).mean())


def bootstrap_interval(values: Sequence[float], groups: Sequence[str]) -> tuple[float, float] | None:
    """The 95% interval of the mean, resampling whole groups: crops of one photograph are not independent.

    None for a single group, which says nothing of the spread.
    """
    names = sorted(set(groups))
    if len(names) < 2:
        return None
    sums = np.zeros(len(names))
    counts = np.zeros(len(names))
    for value, group in zip(values, groups, strict=True):
        sums[names.index(group)] += value
        counts[names.index(group)] += 1
    drawn: NDArray[np.int64] = np.random.default_rng(0).integers(len(names), size=(_RESAMPLES, len(names)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def gain_kept(variant_db: float, teacher_db: float, blurred_db: float) -> float:
    """The share of the teacher's gain over the blurred pictures that a variant keeps, all in mean PSNR."""
    return (variant_db - blurred_db) / (teacher_db - blurred_db)
