"""Names that Linux allows and programs trip over."""

import io
import os
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from baseline.bounded import BoundedRestorer
from baseline.data.pair_folder import unique_names
from baseline.data.pairs import PairFiles
from baseline.data.pictures import Picture, read_picture, write_picture
from baseline.data.video import frames
from baseline.evaluate import Unchanged
from baseline.journal import Journal
from baseline.names import print_any_name, printable
from baseline.restore import plan_outputs, restore_files

NO_UTF8 = os.fsdecode(b"caf\xe9")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("夜 😀.png", "夜 😀.png"),
        (NO_UTF8, r"caf\xe9"),
        ("two\nlines", r"two\nlines"),
        ("a\tb\x1b[31mred", r"a\tb\x1b[31mred"),
        ("[red]x[-red]", "[red]x[-red]"),
    ],
)
def test_any_name_is_one_line_of_text(name: str, shown: str) -> None:
    assert printable(name) == shown


def test_a_terminal_without_utf8_shows_any_name(monkeypatch: pytest.MonkeyPatch) -> None:
    held = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(held, encoding="ascii"))
    print_any_name()
    sys.stdout.write("夜 →")
    sys.stdout.flush()
    assert held.getvalue() == b"\\u591c \\u2192"


def test_pairs_have_labels_that_can_be_printed() -> None:
    pair = PairFiles(f"seq/{NO_UTF8}", "two\nlines", Path("b.png"), Path("s.png"))
    assert (pair.name, pair.group) == (r"seq/caf\xe9", r"two\nlines")
    assert list(unique_names([Path(f"a/{NO_UTF8}.png"), Path(f"b/{NO_UTF8}.png")])) == [r"caf\xe9", r"caf\xe9-2"]


@pytest.mark.parametrize(
    "name", [NO_UTF8, "two\nlines", "tab\there", "[red]x[-red]", "a#1?", "wild[1]", " lead", "-dash"]
)
def test_an_image_of_any_name_is_restored_once(tmp_path: Path, name: str, photo: Picture) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    write_picture(photo[:20, :30], tmp_path / "in" / f"{name}.png")
    planned = plan_outputs([tmp_path / "in"], tmp_path / "out")
    (done,) = restore_files(BoundedRestorer(Unchanged(), 10**9), planned, Journal(tmp_path / "out", "key"))
    assert done.error is None
    assert np.array_equal(read_picture(tmp_path / "out" / f"{name}.png"), photo[:20, :30])
    assert plan_outputs([tmp_path / "in"], tmp_path / "out", journal=Journal(tmp_path / "out", "key")) == []


def test_a_video_of_any_name_in_any_folder_is_restored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    film = tmp_path / "film.mp4"
    writer = cv2.VideoWriter(str(film), cv2.VideoWriter.fourcc(*"mp4v"), 12, (62, 46))
    for level in (40, 200):
        writer.write(np.full((46, 62, 3), level, np.uint8))
    writer.release()
    inside = tmp_path / NO_UTF8
    inside.mkdir()
    source = film.rename(inside / f"{NO_UTF8}.mp4")
    (done,) = restore_files(
        BoundedRestorer(Unchanged(), 10**9), plan_outputs([source], tmp_path / f"out{NO_UTF8}"), None
    )
    assert done.error is None
    assert [float(frame.mean()) for frame in frames(done.target)] == pytest.approx([40, 200], abs=12)
    assert [path.name for path in done.target.parent.iterdir()] == [source.name]
