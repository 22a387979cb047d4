"""What is checked of paired data before work starts: sizes, parts that stay apart, pictures that belong together."""

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np

from baseline.checksum import file_sha256
from baseline.data.layouts import Parts
from baseline.data.pairs import MIN_SIDE, Pair, PairFiles, size_error
from baseline.data.pictures import Picture, halve, head_size
from baseline.errors import UserError

SAMPLE = 24
"""How many pairs are decoded to see whether they belong together: 1280x720 in PNG takes a tenth of a second each."""

LOWEST_CORRELATION = 0.35
"""Of two pictures of one place. Measured on the shipped photographs: blurred by up to 30 pixels, moved by 20 both ways,
darkened and noisy, the lowest is 0.73; of two different photographs, 83% lie below this."""

_THUMBNAIL = 32
_PLAY = 3
"""By so many thumbnail pixels the two may be displaced."""

_FLAT = 4.0
_SWAPPED = 1.2


def check_sizes(files: Sequence[PairFiles]) -> int:
    """Open every file's head; returns the shortest side of all.

    A UserError names the first file that is unreadable, not of its partner's size, or too small to be scored.
    """
    shortest = 1 << 30
    for pair in files:
        size, sharp_size = head_size(pair.blurred), head_size(pair.sharp)
        if size != sharp_size:
            raise size_error(pair, size, sharp_size)
        shortest = min(shortest, *size)
        if shortest < MIN_SIDE:
            raise UserError(f"{pair.sharp} must be at least {MIN_SIDE} pixels a side to be scored; it is {shortest}.")
    return shortest


def check_parts(parts: Parts, groups_apart: bool) -> None:
    """A UserError if a file, by its content, or a group, where these are to stay apart, is in two parts."""
    named = {"train": parts.train, "val": parts.val, "test": parts.test}
    for (first, some), (second, others) in combinations(named.items(), 2):
        where = f"a {second} picture in training" if first == "train" else "a test picture in val"
        both = {pair.group for pair in some} & {pair.group for pair in others}
        if groups_apart and both:
            raise UserError(
                f"{where}: {min(both)} must be in one part only; it is in {first} and {second}. Take it out of {first}."
            )
        for path, twin in _twins(_paths(some), _paths(others)):
            raise UserError(f"{where}: {path} must be in {second} only; {twin} is the same file. Remove that one.")


def check_pictures(files: Sequence[PairFiles]) -> tuple[str, ...]:
    """Decode a seeded sample of pairs; returns a note if the sides look swapped.

    A UserError names a pair that plainly does not show one place. Frames of one scene, taken for each other, pass.
    """
    chosen = np.random.default_rng(0).permutation(len(files))[:SAMPLE]
    ratios = []
    for index in sorted(int(i) for i in chosen):
        pair = files[index].read()
        found = likeness(pair)
        if found < LOWEST_CORRELATION:
            raise UserError(
                f"a wrong pairing: {files[index].blurred} must show what {files[index].sharp} shows; their thumbnails "
                f"correlate by {found:.2f}, under {LOWEST_CORRELATION}. Check the names of both."
            )
        ratios.append(_edges(pair.blurred) / max(_edges(pair.sharp), 1e-3))
    typical = float(np.median(ratios))
    if typical < _SWAPPED:
        return ()
    return (f"The blurred pictures have {typical:.1f} times the edges of the sharp ones: noise, or sides swapped.",)


def likeness(pair: Pair) -> float:
    """The correlation of both pictures' thumbnails at the best displacement; 1 where one is too flat to tell."""
    blurred, sharp = _thumbnail(pair.blurred), _thumbnail(pair.sharp)[_PLAY:-_PLAY, _PLAY:-_PLAY]
    if min(blurred.std(), sharp.std()) < _FLAT:
        return 1.0
    return float(cv2.matchTemplate(blurred, sharp, cv2.TM_CCOEFF_NORMED).max())


def _thumbnail(picture: Picture) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(grey, (_THUMBNAIL, _THUMBNAIL), interpolation=cv2.INTER_AREA), dtype=np.float32)


def _edges(picture: Picture) -> float:
    """Mean difference of neighbouring pixels, at half size, where noise counts for less."""
    grey = cv2.cvtColor(halve(picture), cv2.COLOR_RGB2GRAY).astype(np.float32)
    return float(np.abs(np.diff(grey, axis=0)).mean() + np.abs(np.diff(grey, axis=1)).mean())


def _paths(files: Sequence[PairFiles]) -> list[Path]:
    return [path for pair in files for path in (pair.blurred, pair.sharp)]


def _twins(some: list[Path], others: list[Path]) -> list[tuple[Path, Path]]:
    """Files of `others` that are also among `some`, each with its twin; only files of equal size are read."""
    sizes = {path.stat().st_size for path in others} & {path.stat().st_size for path in some}
    known = {file_sha256(path): path for path in some if path.stat().st_size in sizes}
    candidates = [(path, file_sha256(path)) for path in others if path.stat().st_size in sizes] if known else []
    return [(path, known[digest]) for path, digest in candidates if digest in known]
