import shutil
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from torch import Tensor

from baseline import restore_video
from baseline.bounded import BoundedRestorer
from baseline.data.video import frame_rate, frames, pixel_shape
from baseline.errors import UserError
from baseline.evaluate import Unchanged
from baseline.journal import Journal
from baseline.mp4_shape import set_pixel_shape
from baseline.restore import plan_outputs, restore_files
from baseline.restore_video import NO_FFMPEG


class Negative(Unchanged):
    def __call__(self, blurred: Tensor) -> Tensor:
        return 1 - blurred


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Twelve frames of 62x46 that grow brighter, twelve a second."""
    path = tmp_path / "in" / "film.avi"
    path.parent.mkdir()
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 12, (62, 46))
    for level in range(12):
        writer.write(np.full((46, 62, 3), 20 * level, np.uint8))
    writer.release()
    return path


def test_a_video_comes_back_frame_by_frame(film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    out = tmp_path / "out"
    out.mkdir()
    planned = plan_outputs([tmp_path / "in"], out)
    assert planned == [(film, out / "film.mp4")]
    journal = Journal(out, "key")
    (done,) = restore_files(BoundedRestorer(Negative(), 10**9), planned, journal)
    assert (done.error, done.note) == (None, NO_FFMPEG)
    restored = list(frames(out / "film.mp4"))
    assert frame_rate(out / "film.mp4") == pytest.approx(12)
    levels = [float(frame.mean()) for frame in restored]
    assert levels == pytest.approx([255 - 20 * level for level in range(12)], abs=6)
    assert plan_outputs([film], out, journal=journal) == []


def test_what_is_no_video_is_named(tmp_path: Path) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_text("no video")
    (done,) = restore_files(BoundedRestorer(Unchanged(), 10**9), [(bad, tmp_path / "out" / "bad.mp4")])
    assert done.error is not None
    assert done.error.startswith(f"{bad} must be a picture or a video that OpenCV reads")
    assert not (tmp_path / "out" / "bad.mp4").exists()


def test_an_encoder_that_fails_says_why(film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "bin" / "ffmpeg"
    broken.parent.mkdir()
    broken.write_text("#!/bin/sh\necho 'no such codec' >&2\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", str(broken.parent), prepend=":")
    (done,) = restore_files(BoundedRestorer(Unchanged(), 10**9), [(film, tmp_path / "out" / "film.mp4")])
    assert done.error == "ffmpeg must encode film.avi; it ended with 3: no such codec"
    assert list((tmp_path / "out").iterdir()) == []


def test_sound_is_kept_by_ffmpeg(film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A stand-in for ffmpeg: what it is asked for, and that it is given every frame.
    fake = tmp_path / "bin" / "ffmpeg"
    fake.parent.mkdir()
    fake.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\nfor last; do :; done\ncat > "$last"\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(fake.parent), prepend=":")
    (done,) = restore_files(BoundedRestorer(Unchanged(), 10**9), [(film, tmp_path / "out" / "film.mp4")])
    assert (done.error, done.note) == (None, None)
    assert (tmp_path / "out" / "film.mp4").stat().st_size == 12 * 46 * 62 * 3
    asked = (tmp_path / "asked").read_text()
    assert f"-s 62x46 -r 12.0 -i - -i file:{film}" in asked
    assert "-map 0:v -map 1:a? -c:a copy -map 1:s? -c:s copy" in asked


def test_a_video_without_frames_is_refused(tmp_path: Path, film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("baseline.restore_video.frames", lambda *_: iter(()))
    (done,) = restore_files(BoundedRestorer(Unchanged(), 10**9), [(film, tmp_path / "out" / "film.mp4")])
    assert done.error == f"{film} must be a video with frames; it has none. Remove it."
    with pytest.raises(UserError):
        list(frames(tmp_path / "missing.mp4"))


def test_a_video_cut_short_says_how_much_could_be_read(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setattr(restore_video, "frame_count", lambda _: 30)
    (done,) = restore_files(BoundedRestorer(Unchanged(), 10**9), [(film, tmp_path / "out" / "film.mp4")])
    assert done.note == f"only 12 of the 30 frames that its head tells could be read; {NO_FFMPEG}"


def about(path: Path) -> tuple[int, int, tuple[int, ...]]:
    """The shape of pixels and of the first frame as it is shown."""
    return *pixel_shape(path), next(frames(path)).shape


def filmed(path: Path, shape: tuple[int, int]) -> Path:
    """A video of four frames of 96x72, its pixels of that shape."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25, (96, 72))
    for level in range(4):
        writer.write(np.full((72, 96, 3), 50 * level, np.uint8))
    writer.release()
    assert set_pixel_shape(path, shape)
    return path


@pytest.mark.parametrize("shape", [(1, 1), (4, 3), (64, 45)])
def test_the_shape_of_pixels_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int]) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    source = filmed(tmp_path / "wide.mp4", shape)
    (done,) = restore_files(BoundedRestorer(Unchanged(), 10**9), [(source, tmp_path / "out" / "wide.mp4")])
    assert (done.error, done.note) == (None, NO_FFMPEG)
    assert about(done.target) == (*shape, (72, 96, 3)) == about(source)


def test_a_video_on_its_side_comes_out_upright(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    source = filmed(tmp_path / "side.mp4", (4, 3))
    held = bytearray(source.read_bytes())
    matrix = held.index(b"tkhd") + 4 + 4 + 20 + 16
    held[matrix : matrix + 36] = struct.pack(">9l", 0, 65536, 0, -65536, 0, 0, 72 << 16, 0, 1 << 30)
    source.write_bytes(held)
    (done,) = restore_files(BoundedRestorer(Unchanged(), 10**9), [(source, tmp_path / "out" / "side.mp4")])
    assert done.error is None
    assert about(done.target) == (3, 4, (96, 72, 3)) == about(source)


@pytest.mark.parametrize(
    ("times", "uneven"),
    [([0, 33, 67, 100, 133], False), ([0, 40, 80, 160, 200], True), ([0, 16.7, 50, 66.7, 100], True), ([0, 90], False)],
)
def test_frames_unevenly_apart_are_noticed(times: list[float], uneven: bool) -> None:
    assert restore_video.unevenly_apart(times) is uneven
