import json
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import pytest

from baseline.data.datasets import open_data
from baseline.data.pairs_from_video import VideoPairSettings, make_from_videos
from baseline.data.pictures import Picture, read_picture
from baseline.data.video import find_cuts
from baseline.errors import UserError
from baseline.settings import DataSettings


def film(path: Path, frames: Iterable[Picture]) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 30, (64, 48))
    for frame in frames:
        writer.write(np.ascontiguousarray(frame[..., ::-1]))
    writer.release()
    return path


@pytest.fixture
def texture(noise) -> Picture:
    """Blobs of 5 pixels in all colours."""
    return cv2.normalize(cv2.GaussianBlur(noise(48, 256), (0, 0), 2), None, 0, 255, cv2.NORM_MINMAX)


def moving(scene: Picture, count: int) -> list[Picture]:
    """A scene that passes by, 3 pixels a frame."""
    return [np.roll(scene, 3 * i, axis=1)[:48, :64] for i in range(count)]


def decoded(path: Path) -> np.ndarray:
    """All frames as OpenCV reads them, RGB."""
    capture = cv2.VideoCapture(str(path))
    read = []
    while (frame := capture.read())[0]:
        read.append(frame[1][..., ::-1])
    return np.stack(read)


def made(paths: list[Path], out: Path, **settings: object) -> tuple[dict, list[str]]:
    said: list[str] = []
    make_from_videos(paths, out, VideoPairSettings(**settings), said.append)
    return json.loads((out / "pairs.json").read_text()), said


def test_a_pair_is_the_mean_light_of_its_frames_and_the_middle_one(tmp_path: Path, texture: Picture) -> None:
    clip = film(tmp_path / "clip.avi", moving(texture, 60))
    manifest, said = made([clip], tmp_path / "out", window="5,7")
    video = decoded(clip)
    assert {pair["frames"] for pair in manifest["pairs"]} == {5, 7}
    for pair in manifest["pairs"]:
        first, count = pair["first_frame"], pair["frames"]
        light = (video[first : first + count].astype(np.float64) / 255) ** 2.2
        expected = np.rint(255 * light.mean(axis=0) ** (1 / 2.2))
        folder = tmp_path / "out" / pair["split"]
        blurred, sharp = (read_picture(folder / side / f"{pair['name']}.png") for side in ("blur", "sharp"))
        # Single precision may round the other way.
        assert np.abs(blurred - expected).max() <= 1
        assert (blurred == expected).mean() > 0.999
        assert np.array_equal(sharp, video[first + count // 2])
    kept = len(manifest["pairs"])
    assert said == [f"{clip}: 60 frames, {kept} of {kept} windows kept"]
    assert len(open_data(DataSettings(name="folder", root=tmp_path / "out")).test) >= 1


def test_no_frame_of_one_video_is_in_two_splits(tmp_path: Path, texture: Picture) -> None:
    clip = film(tmp_path / "clip.avi", moving(texture, 80))
    manifest, _ = made([clip], tmp_path / "out", window="3,5", stride=2)
    used: dict[str, set[int]] = {"train": set(), "val": set(), "test": set()}
    for pair in manifest["pairs"]:
        used[pair["split"]] |= set(range(pair["first_frame"], pair["first_frame"] + pair["frames"]))
    assert min(used["val"]) - max(used["train"]) > 5
    assert min(used["test"]) - max(used["val"]) > 5
    assert max(used["test"]) >= 78


def test_still_windows_and_cuts_are_left_out_and_reported(tmp_path: Path, texture: Picture) -> None:
    other = np.ascontiguousarray(texture[::-1] // 4)
    still = [texture[:48, :64]] * 14
    clips = [
        film(tmp_path / "a.avi", moving(texture, 21)),
        film(tmp_path / "b.avi", moving(texture[:, ::-1], 21)),
        film(tmp_path / "c.avi", [*moving(texture, 10), *moving(other, 11), *still]),
    ]
    manifest, said = made(clips, tmp_path / "out", window="7")
    reasons = {(e["source"], e["first_frame"]): e["reason"] for e in manifest["left_out"]}
    # The second scene begins at frame 10, the third at frame 21: a window's own first frame is no cut.
    assert reasons == {("c", 7): "scene cut", ("c", 21): "no motion", ("c", 28): "no motion"}
    assert said[2] == f"{clips[2]}: 35 frames, 2 of 5 windows kept, 2 left out for no motion, 1 left out for scene cut"
    assert {pair["source"]: pair["split"] for pair in manifest["pairs"]}.keys() == {"a", "b", "c"}
    assert len({(pair["source"], pair["split"]) for pair in manifest["pairs"]}) == 3


def test_a_copy_of_a_video_is_in_no_split(tmp_path: Path, texture: Picture) -> None:
    clips = [film(tmp_path / f"{name}.avi", moving(np.roll(texture, i), 21)) for i, name in enumerate("abc")]
    (tmp_path / "copy.mp4").write_bytes(clips[1].read_bytes())
    manifest, said = made([*clips, tmp_path / "copy.mp4"], tmp_path / "out", window="7")
    line = f"{tmp_path / 'copy.mp4'} must be another video than {clips[1]}, lest it be in two splits; it is the same."
    assert said[0] == f"left out: {line}"
    assert manifest["left_out"] == [{"source": "copy", "reason": line}]
    assert {pair["source"] for pair in manifest["pairs"]} == set(manifest["sources"]) == {"a", "b", "c"}


def test_a_pan_that_starts_at_once_is_no_cut_and_a_cut_within_a_pan_is() -> None:
    pan = np.r_[np.zeros(10), np.full(20, 18.0)]
    assert not find_cuts(pan).any()
    pan[20] = 60
    assert np.flatnonzero(find_cuts(pan)).tolist() == [20]


def test_sensor_noise_is_no_motion(tmp_path: Path, texture: Picture) -> None:
    rng = np.random.default_rng(0)
    large = cv2.resize(texture, (640, 480), interpolation=cv2.INTER_CUBIC)
    path = tmp_path / "tripod.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 30, (640, 480))
    for _ in range(15):
        writer.write(np.clip(large + rng.normal(0, 3, large.shape), 0, 255).astype(np.uint8))
    writer.release()
    with pytest.raises(UserError, match="must find a window with motion and without a cut for train; there is none"):
        made([path], tmp_path / "out", window="3")


@pytest.mark.parametrize("window", ["8", "1", "7,10", "0", "seven", ""])
def test_windows_must_have_a_middle(window: str) -> None:
    with pytest.raises(ValueError, match="must be odd numbers of frames from 3, such as 7,9,11"):
        VideoPairSettings(window=window)


def test_what_is_no_video_is_named(tmp_path: Path, texture: Picture) -> None:
    (tmp_path / "notes.mp4").write_text("no video")
    for path, said in (
        (tmp_path / "notes.mp4", "notes.mp4 must be a picture or a video that OpenCV reads; it is neither"),
        (tmp_path / "none.mp4", "none.mp4 must be a picture, a video or a folder; there is no such file"),
        (film(tmp_path / "empty.avi", []), "empty.avi must hold 7 frames, the shortest window; it holds 0"),
        (film(tmp_path / "short.avi", moving(texture, 20)), "short.avi must hold 55 frames"),
    ):
        with pytest.raises(UserError, match=said):
            made([path], tmp_path / f"out-{path.stem}")


def test_the_same_seed_gives_the_same_files(tmp_path: Path, texture: Picture) -> None:
    clip = film(tmp_path / "clip.avi", moving(texture, 40))
    for out in ("a", "b"):
        made([clip], tmp_path / out, window="3,5,7", seed=4)
    a, b = ({p.name: p.read_bytes() for p in (tmp_path / out).rglob("*.*")} for out in ("a", "b"))
    assert a == b
