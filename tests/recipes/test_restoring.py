import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from baseline.artifact import load
from baseline.data.loader import to_picture, to_tensor
from baseline.data.pictures import Picture, write_picture
from baseline.errors import UserError
from baseline.journal import NAME
from baseline.restorer import NetworkRestorer, restore_any_size
from recipes.cli import main
from recipes.networks import open_named
from recipes.resolve import artifact_folder
from recipes.restoring import restore

Cli = Callable[..., subprocess.CompletedProcess[str]]
README = Path(__file__).parent.parent.parent / "README.md"


@pytest.fixture
def inside(tmp_path: Path, photo: Picture) -> Path:
    """Six small pictures in two folders."""
    folder = tmp_path / "in"
    (folder / "deep").mkdir(parents=True)
    for number in range(6):
        name = f"deep/{number}.webp" if number % 2 else f"{number}.png"
        write_picture(photo[number : number + 40, : 50 + number], folder / name)
    return folder


def names(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() and p.name != NAME}


def test_the_python_example_of_the_readme_runs(tmp_path: Path, photo: Picture, python_in: Cli) -> None:
    example = re.search(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert example is not None
    assert len([line for line in example[1].splitlines() if line]) == 5
    write_picture(photo, tmp_path / "blurred.jpg")
    done = python_in(tmp_path, "-c", example[1])
    assert done.returncode == 0, done.stderr
    given = cv2.imread(str(tmp_path / "blurred.jpg"))[..., ::-1]
    network = load(artifact_folder("photos-partly")).network
    expected = restore_any_size(NetworkRestorer(network), to_tensor(given)[None])[0]
    restored = cv2.imread(str(tmp_path / "sharper.png"))[..., ::-1]
    # Weights laid out in another way, as they are here, round in another way.
    assert np.abs(restored.astype(int) - to_picture(expected)).max() <= 1
    assert np.abs(restored.astype(int) - given).mean() > 0.1


def test_arrays_of_every_kind_are_restored(float_folder: Path, photo: Picture) -> None:
    restorer = open_named(str(float_folder))
    colour = restore(photo, restorer)
    assert np.array_equal(colour, restore(photo, float_folder))
    deep = restore(photo.astype(np.uint16) * 257, restorer)
    assert np.abs(deep / 257 - colour).max() <= 0.51
    grey = restore(photo[..., 0], restorer)
    assert grey.shape == photo.shape[:2]
    assert np.array_equal(restore(photo[..., :1], restorer)[..., 0], grey)
    for wrong in (photo.astype(float), np.dstack([photo, photo]), photo[0, 0]):
        with pytest.raises(UserError, match=r"^the picture must be H,W,3, H,W,1 or H,W of uint8 or uint16; got"):
            restore(wrong, restorer)


def test_the_same_command_goes_on_and_then_has_nothing_to_do(
    inside: Path, tmp_path: Path, float_folder: Path, lightsharp: Cli
) -> None:
    command = ("restore", "in", "--network", str(float_folder), "--out", "out")
    first = lightsharp(tmp_path, *command)
    assert first.returncode == 0, first.stderr
    assert "megapixels restored: 1/1, " in first.stderr
    assert names(tmp_path / "out") == names(inside)
    (tmp_path / "out/2.png").unlink()
    again = lightsharp(tmp_path, *command)
    assert again.returncode == 0, again.stderr
    assert again.stdout == "in/2.png -> out/2.png\n"
    assert lightsharp(tmp_path, *command).stdout == "all are finished already, in out\n"
    other = lightsharp(tmp_path, *command, "--memory", "3GB")
    assert other.returncode == 2
    assert "must not be there yet; it is. Choose another --out, or add --overwrite." in other.stderr
    assert lightsharp(tmp_path, *command, "--memory", "3GB", "--overwrite").stdout.count(" -> ") == 6


def test_a_run_that_is_killed_ends_as_one_that_is_not(
    tmp_path: Path, float_folder: Path, photo: Picture, lightsharp: Cli
) -> None:
    (tmp_path / "in").mkdir()
    for number in range(40):
        write_picture(photo[number:, number:], tmp_path / "in" / f"{number}.png")
    command = ("restore", "in", "--network", str(float_folder), "--out")
    assert lightsharp(tmp_path, *command, "whole").returncode == 0
    for wanted in (3, 20):
        with subprocess.Popen(
            [sys.executable, "-m", "recipes.cli", *command, "killed"],
            cwd=tmp_path,
            env={"PYTHONPATH": str(README.parent), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL,
        ) as running:
            while len(list((tmp_path / "killed").glob("[0-9]*.png"))) < wanted and running.poll() is None:
                time.sleep(0.005)
            running.send_signal(signal.SIGKILL)
    left = 40 - len(list((tmp_path / "killed").glob("[0-9]*.png")))
    last = lightsharp(tmp_path, *command, "killed")
    assert last.returncode == 0, last.stderr
    assert last.stdout.count(" -> ") >= left
    assert names(tmp_path / "killed") == names(tmp_path / "whole")
    for name in names(tmp_path / "whole"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_patterns_formats_and_depth(tmp_path: Path, float_folder: Path, photo: Picture, lightsharp: Cli) -> None:
    (tmp_path / "in").mkdir()
    cv2.imwrite(str(tmp_path / "in/a.png"), photo.astype(np.uint16)[..., ::-1] * 257)
    write_picture(photo, tmp_path / "in/b.jpg")
    (tmp_path / "in/notes.txt").write_text("no picture")
    command = ("restore", "--network", str(float_folder), "--out", "out")
    done = lightsharp(tmp_path, *command, "in/*.[pj]*g", "--format", "tif")
    assert done.returncode == 0, done.stderr
    assert names(tmp_path / "out") == {"a.tif", "b.tif"}
    assert cv2.imread(str(tmp_path / "out/a.tif"), cv2.IMREAD_UNCHANGED).dtype == np.uint16
    shallow = lightsharp(tmp_path, *command[:-1], "out2", "in/a.png", "--format", "webp")
    assert shallow.returncode == 1
    assert "out2/a.webp must be a format with 16 bits; webp has 8. Add --format png." in shallow.stderr
    assert "1 of 1 files could not be restored" in shallow.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["in", "--memory", "lots"], "--memory must be a size such as 1.5GB or 800MB; got 'lots'."),
        (["in", "--format", "pgn"], "no format 'pgn'. Did you mean 'png'?"),
        (["*.png"], "*.png must be a pattern of files that are there; none fits it."),
        (["in/notes.txt"], "must be a picture (.png,"),
        (["in", "--network", "phtos"], "no network 'phtos'. Did you mean 'photos'?"),
        (["in", "--runtime", "egaer"], "no runtime 'egaer'. Did you mean 'eager'?"),
        (
            ["in", "--selective", "--keep-gain", "2", "--network", "phtos"],  # before the network is looked for
            "--keep-gain must be a share from 0.5 to below 1; got 2.0. Usual is 0.95.",
        ),
    ],
)
def test_mistakes_are_told_before_work(inside: Path, cli: Cli, tmp_path: Path, arguments: list[str], said: str) -> None:
    (inside / "notes.txt").write_text("no picture")
    done = cli("restore", *arguments, "--out", "out")
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_too_little_memory_is_said_of_each_picture(
    tmp_path: Path, float_folder: Path, photo: Picture, lightsharp: Cli
) -> None:
    write_picture(np.tile(photo, (6, 6, 1)), tmp_path / "large.png")
    done = lightsharp(
        tmp_path, "restore", "large.png", "--network", str(float_folder), "--memory", "9MB", "--out", "out"
    )
    assert done.returncode == 1, done.stderr
    assert "failed: --memory must be at least" in done.stderr
    needed = re.search(r"at least (\d+)MB", done.stderr)
    assert needed is not None
    enough = ("--memory", f"{int(needed[1]) + 1}MB")
    again = lightsharp(tmp_path, "restore", "large.png", "--network", str(float_folder), *enough, "--out", "out2")
    assert again.returncode == 0, again.stderr
    with Image.open(tmp_path / "out2/large.png") as image:
        assert image.size == (256 * 6, 192 * 6)


def test_odd_names_and_a_bad_file_stop_nothing(
    tmp_path: Path, float_folder: Path, photo: Picture, lightsharp: Cli
) -> None:
    inside = tmp_path / "in"
    inside.mkdir()
    for name in (b"caf\xe9.png", b"two\nlines.png", b"[red]x[-red].png"):
        write_picture(photo[:20, :30], inside / os.fsdecode(name))
    (inside / os.fsdecode(b"\xe9.png")).write_text("no picture")
    (inside / os.fsdecode(b"\xe9.txt")).write_text("no picture")
    done = lightsharp(tmp_path, "restore", "in", "--network", str(float_folder), "--out", "out")
    assert done.returncode == 1, done.stderr
    assert r"in/caf\xe9.png -> out/caf\xe9.png" in done.stdout.splitlines()
    assert r"in/two\nlines.png -> out/two\nlines.png" in done.stdout.splitlines()
    assert "in/[red]x[-red].png -> out/[red]x[-red].png" in done.stdout.splitlines()
    assert r"failed: in/\xe9.png must be a readable picture" in done.stderr
    assert r"can be read: in/\xe9.txt" in done.stderr
    assert len(names(tmp_path / "out")) == 3


def test_a_network_that_fails_says_where_once(
    tmp_path: Path, float_folder: Path, photo: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    whole = NetworkRestorer.__call__

    def faulty(restorer: NetworkRestorer, blurred: Tensor) -> Tensor:
        if blurred.shape[-1] == 52:
            raise ValueError("no 52")
        return whole(restorer, blurred)

    monkeypatch.setattr(NetworkRestorer, "__call__", faulty)
    Path("in").mkdir()
    for name, width in (("a", 40), ("b", 52), ("c", 52), ("d", 60)):
        write_picture(photo[:40, :width], Path(f"in/{name}.png"))
    done = CliRunner().invoke(main, ["restore", "in", "--network", str(float_folder), "--out", "out"])
    assert done.exit_code == 1
    assert names(Path("out")) == {"a.png", "d.png"}
    assert "failed: in/b.png could not be restored; ValueError: no 52" in done.stderr
    assert "failed: in/c.png could not be restored; ValueError: no 52" in done.stderr
    assert done.stderr.count("Traceback") == 1


def test_what_a_file_lost_is_said_again_by_a_run_that_goes_on(tmp_path: Path, float_folder: Path) -> None:
    text = PngInfo()
    text.add_text("Author", "someone")
    Image.new("RGB", (24, 24)).save(tmp_path / "a.png", pnginfo=text)
    command = ["restore", str(tmp_path / "a.png"), "--network", str(float_folder), "--format", "bmp"]
    first, again = (CliRunner().invoke(main, [*command, "--out", str(tmp_path / "out")]) for _ in range(2))
    assert (first.exit_code, again.exit_code) == (0, 0), (first.output, again.output)
    lost = first.stdout.partition("a.bmp ")[2].strip()
    assert "text" in lost
    assert again.stdout.startswith(f"finished before: {tmp_path / 'out/a.bmp'} {lost}\nall are finished already")
