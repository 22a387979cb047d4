"""Pairs made from video: which windows of frames go into which split, and what is left out."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import BeforeValidator, Field

from baseline.checksum import file_sha256
from baseline.data.pair_folder import SPLITS, PairFolder, SplitSettings, divide, unique_names
from baseline.data.video import Change, Window, average_windows, measure_change, plan_windows, reason_against
from baseline.errors import UserError
from baseline.progress import progress


def _odd_lengths(value: Any) -> Any:
    lengths = value.split(",") if isinstance(value, str) else value
    if not all(str(n).strip().isdecimal() and int(n) % 2 and int(n) > 1 for n in lengths):
        raise ValueError(
            f"must be odd numbers of frames from 3, such as 7,9,11, so that one is the middle; got {value}"
        )
    return tuple(int(n) for n in lengths)


class VideoPairSettings(SplitSettings):
    """Windows of these lengths, drawn at random, begin every `stride` frames; None: where the last one ended."""

    window: Annotated[tuple[int, ...], BeforeValidator(_odd_lengths)] = (7, 9, 11)
    stride: int | None = Field(default=None, gt=0)


class Planned(NamedTuple):
    """A window of a video, and why it is left out (None: it is kept)."""

    video: str
    split: str
    window: Window
    reason: str | None


def make_from_videos(
    paths: Sequence[Path], out: Path, settings: VideoPairSettings, say: Callable[[str], None]
) -> PairFolder:
    """Write a pair of every window that shows motion and no scene cut; says of each video what is left out."""
    folder = PairFolder(out, settings, sorted(paths))
    named, copies = _distinct(unique_names(sorted(paths)))
    for copy in copies:
        say(f"left out: {copy['reason']}")
    changes = {name: measure_change(path, min(settings.window) - 1) for name, path in named.items()}
    planned = plan(changes, named, settings)
    for name, path in named.items():
        say(_summary(path, changes[name], [p for p in planned if p.video == name]))
    _check_splits(planned)
    kept = [p for p in planned if p.reason is None]
    with progress("pairs", len(kept)) as tell:
        for name, path in named.items():
            _write_pairs(folder, name, path, {p.window: p.split for p in kept if p.video == name})
            tell(len(folder.pairs))
    left_out = [
        {"source": p.video, "first_frame": p.window.first, "frames": p.window.length, "reason": p.reason}
        for p in planned
        if p.reason is not None
    ]
    folder.finish(settings, sources={name: str(path) for name, path in named.items()}, left_out=[*copies, *left_out])
    return folder


def _distinct(named: dict[str, Path]) -> tuple[dict[str, Path], list[dict[str, str]]]:
    """The videos without copies of one another, and what pairs.json says of each copy."""
    distinct: dict[str, Path] = {}
    seen: dict[str, str] = {}
    copies = []
    for name, path in named.items():
        # What is no file stays, to be refused where videos are read.
        first = seen.setdefault(file_sha256(path), name) if path.is_file() else name
        if first == name:
            distinct[name] = path
        else:
            reason = f"{path} must be another video than {named[first]}, lest it be in two splits; it is the same."
            copies.append({"source": name, "reason": reason})
    return distinct, copies


def _write_pairs(folder: PairFolder, name: str, path: Path, splits: dict[Window, str]) -> None:
    for window, average, middle in average_windows(path, list(splits)):
        facts = {"source": name, "first_frame": window.first, "frames": window.length, "blur": "video"}
        folder.write(splits[window], f"{name}-{window.first:06d}-{window.length}", (average, middle), **facts)


def plan(changes: dict[str, Change], named: dict[str, Path], settings: VideoPairSettings) -> list[Planned]:
    """Every window of every video, in its split."""
    rng = np.random.default_rng(settings.seed)
    return [
        Planned(name, split, window, reason_against(window, changes[name]))
        for name, split, part in _parts(changes, named, settings)
        for window in plan_windows(part, settings.window, settings.stride, rng)
    ]


def _check_splits(planned: list[Planned]) -> None:
    for split in SPLITS:
        if not any(p.split == split and p.reason is None for p in planned):
            raise UserError(
                f"make-pairs must find a window with motion and without a cut for {split}; there is none. "
                "Give other or longer videos, or another --seed."
            )


def _parts(
    changes: dict[str, Change], named: dict[str, Path], settings: VideoPairSettings
) -> list[tuple[str, str, range]]:
    """Three videos or more are divided whole; of one or two, each is divided in time."""
    counts = {name: len(change.cuts) for name, change in changes.items()}
    for name, count in counts.items():
        if count < min(settings.window):
            raise UserError(
                f"{named[name]} must hold {min(settings.window)} frames, the shortest window; it holds {count}."
            )
    if len(counts) >= len(SPLITS):
        splits = divide(list(counts), settings)
        return [(name, splits[name], range(count)) for name, count in counts.items()]
    return [
        (name, split, part)
        for name, count in counts.items()
        for split, part in _time_parts(named[name], count, settings).items()
    ]


def _time_parts(path: Path, count: int, settings: VideoPairSettings) -> dict[str, range]:
    """Train, val and test one after another, with a gap as long as the largest window: no frame is in two of them."""
    gap = max(settings.window)
    if count < 5 * gap:
        raise UserError(
            f"{path} must hold {5 * gap} frames, to be divided in time with gaps; it holds {count}. "
            "Set smaller windows, or give three videos or more."
        )
    test, val = (max(gap, round(share * (count - 2 * gap))) for share in (settings.test, settings.val))
    val_start = count - test - gap - val
    if val_start - gap < gap:
        raise UserError(
            f"val and test must leave {gap} of the {count} frames of {path} to train on. Set smaller shares."
        )
    return {
        "train": range(val_start - gap),
        "val": range(val_start, val_start + val),
        "test": range(count - test, count),
    }


def _summary(path: Path, change: Change, planned: list[Planned]) -> str:
    reasons = Counter(p.reason for p in planned)
    left_out = [f", {reasons[r]} left out for {r}" for r in ("no motion", "scene cut") if reasons[r]]
    kept = f"{path}: {len(change.cuts)} frames, {reasons[None]} of {len(planned)} windows kept"
    return kept + "".join(left_out)
