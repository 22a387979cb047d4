"""Restoring videos frame by frame: sound and quality are kept with ffmpeg, and without it what OpenCV can write."""

import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import IO

import cv2
import numpy as np

from baseline.atomic import whole_file
from baseline.bounded import ArrayRestorer
from baseline.data.pictures import Picture
from baseline.data.video import channel_bits, frame_count, frame_rate, frames, pixel_shape
from baseline.errors import UserError
from baseline.mp4_shape import set_pixel_shape
from baseline.names import utf8_path

_KEPT_SUFFIXES = (".mp4", ".mov", ".mkv", ".m4v")
"""Containers that hold H.264 and the usual kinds of sound; videos in others become .mkv, which holds all kinds."""

NO_FFMPEG = "without sound or subtitles, since ffmpeg is not there (type: apt-get install -y ffmpeg)"

_WRITTEN_BITS = 8
_LEAST_FRAMES, _ROUNDED_MS = 3, 2.0
_WHOLE = 0.98
"""Of the frames that a head tells; that figure is often off by a few."""

FrameSink = Callable[[Picture], object]
"""Takes one frame after another."""


def video_target(path: Path) -> Path:
    """The name that a restored video gets."""
    if path.suffix.lower() in _KEPT_SUFFIXES:
        return path
    return path.with_suffix(".mkv" if shutil.which("ffmpeg") else ".mp4")


def restore_video(
    bounded: ArrayRestorer, source: Path, target: Path, settle: Callable[[Path], None] = lambda _: None
) -> str | None:
    """Restore all frames; `settle` is told of the file before it gets its name. Returns what could not be kept.

    A UserError if the video cannot be read, has no frames, or cannot be encoded.
    """
    rate, said, times = frame_rate(source), frame_count(source), list[float]()
    shape = pixel_shape(source)
    with whole_file(target) as beside:
        every = frames(source, times.append)
        first = next(every, None)
        if first is None:
            raise UserError(f"{source} must be a video with frames; it has none. Remove it.")
        with _sink(source, beside, first, rate, shape) as write:
            write(bounded(first))
            for frame in every:
                write(bounded(frame))
        square = not shutil.which("ffmpeg") and shape[0] != shape[1] and not set_pixel_shape(beside, shape)
        settle(beside)
    read, bits = len(times), channel_bits(source)
    lost = [
        f"only {read} of the {said} frames that its head tells could be read" if read < _WHOLE * said else None,
        f"its pixels of {shape[0]}:{shape[1]} became square" if square else None,
        f"its {bits} bits became 8" if bits > _WRITTEN_BITS else None,
        f"its frames, unevenly apart, became {rate:.4g} a second" if unevenly_apart(times) else None,
        None if shutil.which("ffmpeg") else NO_FFMPEG,
    ]
    return "; ".join(filter(None, lost)) or None


def unevenly_apart(times_ms: Sequence[float]) -> bool:
    """Whether frames are not the same time apart, but for what containers round to; a cut end or gap counts, too."""
    apart = np.diff(times_ms)
    if len(apart) < _LEAST_FRAMES:
        return False
    return bool((np.abs(apart - np.median(apart)) > np.maximum(_ROUNDED_MS, np.median(apart) / 4)).any())


def _sink(
    source: Path, target: Path, frame: Picture, rate: float, shape: tuple[int, int]
) -> AbstractContextManager[FrameSink]:
    return _ffmpeg(source, target, frame, rate, shape) if shutil.which("ffmpeg") else _opencv(target, frame, rate)


@contextmanager
def _ffmpeg(source: Path, target: Path, frame: Picture, rate: float, shape: tuple[int, int]) -> Iterator[FrameSink]:
    """H.264 of high quality, its pixels of that shape, the source's sound and subtitles copied beside it."""
    height, width = frame.shape[:2]
    command = ["ffmpeg", "-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24"]
    command += ["-s", f"{width}x{height}", "-r", f"{rate}", "-i", "-", "-i", f"file:{source}"]
    command += ["-map", "0:v", "-map", "1:a?", "-c:a", "copy", "-map", "1:s?", "-c:s", "copy"]
    command += ["-c:v", "libx264", "-crf", "16", "-vf", f"setsar={shape[0]}/{shape[1]}"]
    # Players want two by two pixels to share their colour; that takes even sides.
    command += ["-pix_fmt", "yuv444p" if height % 2 or width % 2 else "yuv420p", str(target)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        pipe, told = process.stdin, process.stderr
        if pipe is None or told is None:
            raise TypeError("a process must have the pipes that were asked for")
        with suppress(BrokenPipeError):  # it ended before its time, and says why below
            yield lambda frame: _piped(pipe, frame)
            pipe.close()
        said = told.read().decode(errors="replace").strip()
    if process.returncode != 0:
        raise UserError(f"ffmpeg must encode {source.name}; it ended with {process.returncode}: {said or 'nothing'}")


def _piped(pipe: IO[bytes], frame: Picture) -> None:
    pipe.write(np.ascontiguousarray(frame).tobytes())


@contextmanager
def _opencv(target: Path, frame: Picture, rate: float) -> Iterator[FrameSink]:
    height, width = frame.shape[:2]
    with utf8_path(target) as writable:
        writer = cv2.VideoWriter(str(writable), cv2.VideoWriter.fourcc(*"mp4v"), rate, (width, height))
        if not writer.isOpened():
            raise UserError(f"OpenCV must write {target.suffix} videos; it cannot. Type: apt-get install -y ffmpeg")
        try:
            yield lambda frame: writer.write(np.ascontiguousarray(frame[..., ::-1]))
        finally:
            writer.release()
