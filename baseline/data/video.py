"""Pairs made from video as GoPro's were (Nah et al., CVPR 2017): a window of frames averaged, its middle as truth."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from baseline.data.blur import to_display, to_linear
from baseline.data.pictures import Picture
from baseline.errors import UserError
from baseline.names import utf8_path

VIDEO_SUFFIXES = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".mts")
"""What counts as a video inside a folder; a file that is named itself may be called anything."""

MIN_MOTION = 1.0
"""Mean grey levels between the first and last frame of a window, below which nothing moves.

Measured on 40 photographs of about 1024 pixels, reduced to 160: sensor noise of 4 grey levels a pixel gives 0.5, half a
pixel of motion 1.2 on the median, two pixels at least 1.07.
"""
CUT_CHANGE = 15.0
"""Mean grey levels between two frames that a scene cut exceeds: the 780 pairs of those photographs gave at least 25."""
CUT_RATIO = 2.5
"""A cut also changes this many times as much as the median of the frames around it: a fast pan changes steadily."""

_USUAL_RATE = 25.0
_ON_ITS_SIDE = 90
_USUAL_BITS, _MOST_BITS = 8, 16
_REDUCED = 160
_AROUND = 5


class Change(NamedTuple):
    """Of each frame: whether another scene begins there, and its mean difference in grey levels to `span` before."""

    cuts: NDArray[np.bool_]
    over_span: NDArray[np.float64]
    span: int


@dataclass(frozen=True)
class Window:
    """Consecutive frames that become one blurred picture."""

    first: int
    length: int


def frames(path: Path, told: Callable[[float], object] = lambda _: None) -> Iterator[Picture]:
    """The frames of a video, upright; `told` of each one's time in ms. A UserError if OpenCV reads none."""
    with _opened(path) as capture:
        while True:
            there, frame = capture.read()
            if not there:
                return
            told(capture.get(cv2.CAP_PROP_POS_MSEC))
            yield np.ascontiguousarray(frame[..., ::-1])


def pixel_shape(path: Path) -> tuple[int, int]:
    """Width and height of a pixel of the upright frames, as whole numbers; a UserError as from `frames`."""
    with _opened(path) as capture:
        wide, high = (int(capture.get(key)) for key in (cv2.CAP_PROP_SAR_NUM, cv2.CAP_PROP_SAR_DEN))
        if wide < 1 or high < 1:
            return 1, 1
        on_its_side = int(capture.get(cv2.CAP_PROP_ORIENTATION_META)) % 180 == _ON_ITS_SIDE
        return (high, wide) if on_its_side else (wide, high)


def channel_bits(path: Path) -> int:
    """Bits of a channel as stored, as far as the kind of pixels tells; a UserError as from `frames`."""
    with _opened(path) as capture:
        kind = (int(capture.get(cv2.CAP_PROP_CODEC_PIXEL_FORMAT)) & 0xFFFFFFFF).to_bytes(4, "little")
    # Kinds of FFmpeg: Y3, 11, bits for planes of little-endian numbers, the other way round for big-endian ones.
    deep = kind[3] if kind[:1] == b"Y" and kind[3] < _MOST_BITS else kind[0] if kind[3:] == b"Y" else 0
    if kind[:1] == b"P" and kind[2:].isdigit():
        deep = int(kind[2:])
    return deep if _USUAL_BITS < deep <= _MOST_BITS else _USUAL_BITS


def frame_rate(path: Path) -> float:
    """Frames a second, on the mean; a UserError as from `frames`."""
    with _opened(path) as capture:
        return float(capture.get(cv2.CAP_PROP_FPS)) or _USUAL_RATE


def frame_count(path: Path) -> int:
    """How many frames the head tells of, or would by its length; 0 if nothing. A UserError as from `frames`."""
    with _opened(path) as capture:
        return max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))


@contextmanager
def _opened(path: Path) -> Iterator[cv2.VideoCapture]:
    if not path.is_file():
        raise UserError(f"{path} must be a picture, a video or a folder; there is no such file.")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    with utf8_path(path) as readable:
        capture = cv2.VideoCapture(str(readable))
        cv2.utils.logging.setLogLevel(level)
        if not capture.isOpened():
            raise UserError(f"{path} must be a picture or a video that OpenCV reads; it is neither. Convert it.")
        try:
            yield capture
        finally:
            capture.release()


def measure_change(path: Path, span: int) -> Change:
    """Read the video once and compare its frames, in grey and reduced to 160 pixels."""
    steps, over_span = [], []
    recent: deque[NDArray[np.int16]] = deque(maxlen=span)
    for frame in frames(path):
        reduced = _reduced(frame)
        steps.append(_difference(reduced, recent[-1]) if recent else 0.0)
        over_span.append(_difference(reduced, recent[0]) if len(recent) == span else 0.0)
        recent.append(reduced)
    return Change(find_cuts(np.array(steps)), np.array(over_span), span)


def _reduced(frame: Picture) -> NDArray[np.int16]:
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    height, width = grey.shape
    scale = min(1.0, _REDUCED / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(grey, size, interpolation=cv2.INTER_AREA).astype(np.int16)


def _difference(a: NDArray[np.int16], b: NDArray[np.int16]) -> float:
    return float(np.abs(a - b).mean())


def find_cuts(step: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether each frame begins another scene, from its difference to the one before in mean grey levels."""
    cuts = np.zeros(len(step), dtype=bool)
    for i in np.flatnonzero(step > CUT_CHANGE):
        around = np.r_[step[max(1, i - _AROUND) : i], step[i + 1 : i + 1 + _AROUND]]
        cuts[i] = len(around) == 0 or step[i] > CUT_RATIO * np.median(around)
    return cuts


def reason_against(window: Window, change: Change) -> str | None:
    """Why a window makes no pair: "scene cut" or "no motion"; None if it does."""
    end = window.first + window.length
    if change.cuts[window.first + 1 : end].any():
        return "scene cut"
    if change.over_span[window.first + change.span : end].max() < MIN_MOTION:
        return "no motion"
    return None


def plan_windows(part: range, lengths: Sequence[int], stride: int | None, rng: np.random.Generator) -> Iterator[Window]:
    """Windows of random lengths inside a part of the video, one after another or every `stride` frames."""
    first = part.start
    while True:
        length = int(rng.choice(lengths))
        if first + length > part.stop:
            return
        yield Window(first, length)
        first += stride or length


def average_windows(path: Path, windows: Sequence[Window]) -> Iterator[tuple[Window, Picture, Picture]]:
    """Each window with its average in linear light and its middle frame; only what is under way is kept in memory."""
    waiting = deque(sorted(windows, key=lambda window: window.first))
    under_way: list[tuple[Window, NDArray[np.float64], list[Picture]]] = []
    for number, frame in enumerate(frames(path)):
        while waiting and waiting[0].first == number:
            under_way.append((waiting.popleft(), np.zeros(frame.shape), []))
        for window, total, middle in under_way:
            total += to_linear(frame)
            if number == window.first + window.length // 2:
                middle.append(frame)
            if number == window.first + window.length - 1:
                average = np.rint(to_display(total / window.length)).astype(np.uint8)
                yield window, average, middle[0]
        under_way = [entry for entry in under_way if number < entry[0].first + entry[0].length - 1]
