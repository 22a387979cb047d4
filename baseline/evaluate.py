"""Scores of a restorer over fixed pairs: per picture, as means, and as paired differences with their spread."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from baseline.align import align
from baseline.data.loader import to_tensor
from baseline.data.pairs import Pair, PairSet
from baseline.errors import UserError
from baseline.measurement import Mean, mean_of
from baseline.metrics import QUALITY, psnr, wrong_range
from baseline.restorer import Restorer, restore_any_size

NOT_ALIGNED = "scored unaligned: no alignment with the sharp picture was found"


@dataclass(frozen=True)
class PictureScore:
    """One restored picture against its sharp one. `group` is the photograph or sequence that it was cut from."""

    name: str
    group: str
    psnr_db: float
    ssim: float
    lpips: float
    edge_sharpness: float
    note: str = ""


class Unchanged:
    """The restorer that returns its input: its scores are those of the blurred pictures."""

    size_multiple = 1
    min_size = 1
    fixed_size: tuple[int, int] | None = None
    max_batch: int | None = None

    def __call__(self, blurred: Tensor) -> Tensor:
        return blurred


def score(restorer: Restorer, pairs: PairSet, keep: Callable[[Pair, Tensor], None] | None = None) -> list[PictureScore]:
    """Score every pair, each at its own size, and hand it with its restored 3,H,W to `keep`.

    Pairs of cameras that do not stand in line (`aligned`) are aligned first; one that cannot be says so in its note.
    """
    scores = []
    for pair in pairs:
        restored = restored_picture(restorer, pair)
        if keep is not None:
            keep(pair, restored[0])
        scores.append(_score_one(pair, restored, pairs.aligned))
    return scores


def _score_one(pair: Pair, restored: Tensor, aligned: bool) -> PictureScore:
    sharp, note = to_tensor(pair.sharp)[None], ""
    found = align(restored, sharp) if aligned else (restored, sharp)
    if found is None:
        found, note = (restored, sharp), NOT_ALIGNED
    values = {key: metric(*found).item() for key, metric in QUALITY.items()}
    return PictureScore(name=pair.name, group=pair.group, note=note, **values)


def restored_picture(restorer: Restorer, pair: Pair) -> Tensor:
    """What a restorer makes of a pair's blurred picture, 1,3,H,W; a UserError if that is no picture in 0..1."""
    restored = restore_any_size(restorer, to_tensor(pair.blurred)[None]).float().cpu()
    reason = wrong_range(restored)
    if reason is not None:
        raise UserError(
            f"the network must restore '{pair.name}' to a picture in 0..1; {reason}. "
            "Train it again with a lower rate, or have it return values in 0..1."
        )
    return restored


def mean_psnr(restorer: Restorer, pairs: PairSet) -> float:
    """Mean PSNR in dB: what is watched while training, without alignment and without the cost of the other metrics."""
    values = [psnr(restored_picture(restorer, pair), to_tensor(pair.sharp)[None]) for pair in pairs]
    return float(torch.cat(values).mean())


def means(scores: Sequence[PictureScore]) -> dict[str, Mean]:
    """The mean of every metric, its interval bootstrapped by photograph."""
    groups = [score.group for score in scores]
    return {key: mean_of([getattr(score, key) for score in scores], groups) for key in QUALITY}


def differences(scores: Sequence[PictureScore], others: Sequence[PictureScore]) -> dict[str, Mean]:
    """The mean of every metric's difference to another network's, paired by picture: scores - others."""
    if [score.name for score in scores] != [other.name for other in others]:
        raise ValueError("scores can be paired only over the same pictures in the same order")
    groups = [score.group for score in scores]
    pairs = list(zip(scores, others, strict=True))
    return {key: mean_of([getattr(a, key) - getattr(b, key) for a, b in pairs], groups) for key in QUALITY}


def gain_kept(variant_db: float, teacher_db: float, blurred_db: float) -> float:
    """The share of the teacher's gain over the blurred pictures that a variant keeps, all in mean PSNR."""
    return (variant_db - blurred_db) / (teacher_db - blurred_db)
