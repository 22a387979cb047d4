from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from baseline.data.layouts import PairFiles, left_out_note
from baseline.data.picture_files import read_stored, write_stored
from baseline.data.pictures import Picture, list_pictures, read_picture
from baseline.data.unread_pictures import unread_pictures
from baseline.errors import UserError
from baseline.restore import plan_outputs
from recipes.cli import main


@pytest.mark.parametrize("suffix", [".jfif", ".JFIF", ".jpe"])
def test_jpeg_under_its_other_names_is_read_and_written(suffix: str, tmp_path: Path, photo: Picture) -> None:
    path = tmp_path / f"a{suffix}"
    Image.fromarray(photo).save(path, format="jpeg", quality=95)
    assert list_pictures(tmp_path) == [path]
    assert np.array_equal(read_picture(path), read_stored(path).pixels)
    assert plan_outputs([tmp_path], tmp_path / "out") == [(path, tmp_path / "out" / path.name)]
    write_stored(read_stored(path), tmp_path / f"b{suffix}")
    with Image.open(tmp_path / f"b{suffix}") as written:
        assert written.format == "JPEG"


def test_pictures_of_other_kinds_are_counted_by_kind() -> None:
    named = [Path(name) for name in ("a.heic", "b.HEIC", "c.avif", "d.txt")]
    assert unread_pictures(named).startswith("pictures of kinds that are not read (1 .avif, 2 .heic): convert them")
    assert unread_pictures(named[3:]) == ""


def test_a_folder_of_such_pictures_alone_says_so(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.heic").touch()
    with pytest.raises(UserError, match=r"it holds pictures of kinds that are not read \(1 \.heic\)"):
        plan_outputs([tmp_path / "in"], tmp_path / "out")
    done = CliRunner().invoke(main, ["make-pairs", str(tmp_path / "in"), "--out", str(tmp_path / "pairs")])
    assert "among them pictures of kinds that are not read (1 .heic)" in done.output


def test_they_are_noted_beside_pairs(tmp_path: Path) -> None:
    (tmp_path / "b.avif").touch()
    notes = left_out_note([PairFiles("a", "a", tmp_path / "a.png", tmp_path / "a.png")])
    assert "not read (1 .avif)" in notes[-1]
