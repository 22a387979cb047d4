import errno
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from baseline.data import pair_folder
from baseline.data.pictures import Picture, write_picture
from recipes.cli import main

Cli = Callable[..., subprocess.CompletedProcess[str]]
TINY = [f"--set={a}" for a in ("batch=2", "crop=16", "workers=0", "arguments.width=8", "arguments.num_blocks=1")]


@pytest.fixture
def photographs(tmp_path: Path, photo: Picture) -> Path:
    folder = tmp_path / "photographs"
    folder.mkdir()
    for number in range(4):
        Image.fromarray(photo[30 * number : 30 * number + 60, :64]).save(folder / f"p{number}.png")
    (folder / "notes.txt").write_text("not a picture")
    (folder / "broken.png").write_text("nor this")
    return folder


def test_photographs_become_a_data_set_that_trains(cli: Cli, photographs: Path, tmp_path: Path) -> None:
    done = cli("make-pairs", "photographs", "--out", "pairs", "--blur", "object", "--size", "48x56", "--reach", "3")
    assert done.returncode == 0, done.stderr
    assert "wrote 4 train, 2 val, 2 test pairs; train on them with: lightsharp train --data folder" in done.stdout
    assert f"left out: {Path('photographs/notes.txt')} is neither a picture nor a video" in done.stderr
    assert "broken.png must be a readable picture" in done.stderr
    trained = cli("train", "--data", "folder", "--root", "pairs", "--steps", "1", *TINY, "--out", "net")
    assert trained.returncode == 0, trained.stderr


def test_the_same_command_goes_on_after_a_full_disk(photographs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(photographs.parent)
    out, command = Path("pairs"), ["make-pairs", "photographs", "--out", "pairs", "--size", "48x56", "--reach", "3"]
    assert CliRunner().invoke(main, [*command[:3], "whole", *command[4:]]).exit_code == 0
    written: list[Path] = []

    def fills(picture: Picture, path: Path) -> None:
        if len(written) == 5:
            path.with_name(f".{path.stem}.{2**22 + 1}.part.png").write_bytes(b"half")  # as of a process that was killed
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        written.append(path)
        write_picture(picture, path)

    monkeypatch.setattr(pair_folder, "write_picture", fills)
    full = CliRunner().invoke(main, command)
    assert (full.exit_code, "must have room on its disk" in full.stderr) == (2, True), full.stderr
    monkeypatch.setattr(pair_folder, "write_picture", write_picture)
    before = {path: path.stat().st_mtime_ns for path in written}
    refused = CliRunner().invoke(main, [*command, "--seed", "1"])
    assert (refused.exit_code, "or hold what this command began" in refused.stderr) == (2, True)
    assert CliRunner().invoke(main, command).exit_code == 0
    assert {path: path.stat().st_mtime_ns for path in written} == before
    contents = [{p.relative_to(f): p.read_bytes() for p in f.rglob("*") if p.is_file()} for f in (out, Path("whole"))]
    assert contents[0] == contents[1]


def test_a_video_becomes_pairs(cli: Cli, tmp_path: Path, noise: Callable[..., Picture]) -> None:
    texture = cv2.normalize(cv2.GaussianBlur(noise(48, 256), (0, 0), 2), None, 0, 255, cv2.NORM_MINMAX)
    writer = cv2.VideoWriter(str(tmp_path / "clip.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 30, (64, 48))
    for i in range(21):
        writer.write(np.ascontiguousarray(np.roll(texture, 3 * i, axis=1)[:, :64]))
    writer.release()
    done = cli("make-pairs", "clip.avi", "--out", "pairs", "--window", "3")
    assert done.returncode == 0, done.stderr
    assert "clip.avi: 21 frames, 5 of 5 windows kept" in done.stderr
    assert "wrote 3 train, 1 val, 1 test pairs" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["notes.txt"], "notes.txt must be a picture or a video that OpenCV reads; it is neither"),
        (["p0.png", "notes.txt"], "must be given pictures or videos; got p0.png and notes.txt. Run it for each."),
        (["p0.png", "--window", "7"], "no key 'window'. Known: blur, per_picture, reach, seed, size, test, val."),
        (["p0.png", "--blur", "shakes"], "make-pairs of photographs.blur"),
        (["clip.avi", "--window", "8"], "must be odd numbers of frames from 3, such as 7,9,11"),
        (["clip.avi", "--blur", "both"], "no key 'blur'. Known: seed, stride, test, val, window."),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    cli: Cli, photographs: Path, tmp_path: Path, arguments: list[str], said: str
) -> None:
    for path in photographs.iterdir():
        path.rename(tmp_path / path.name)
    done = cli("make-pairs", *arguments, "--out", "out")
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_the_command_line_starts_without_opencv(run_python: Cli) -> None:
    done = run_python("-c", "import sys, recipes.commands.pairs; sys.exit('cv2' in sys.modules)")
    assert done.returncode == 0, sys.version
