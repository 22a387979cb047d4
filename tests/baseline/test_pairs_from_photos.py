import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from baseline.data.blur import blurred_window
from baseline.data.datasets import open_data
from baseline.data.pairs_from_photos import PhotoPairSettings, make_from_photos
from baseline.data.pictures import Picture, list_pictures, read_picture
from baseline.errors import UserError
from baseline.settings import DataSettings

SMALL = {"size": "48x64", "reach": 3}


@pytest.fixture
def photographs(tmp_path: Path, photo: Picture) -> list[Path]:
    """Six real pictures of 80x90."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    for number in range(6):
        top, left = 20 * number, 30 * number
        Image.fromarray(photo[top : top + 80, left : left + 90]).save(folder / f"p{number}.png")
    return list_pictures(folder)


def made(paths: list[Path], out: Path, **settings: object) -> tuple[dict, list[str]]:
    said: list[str] = []
    make_from_photos(paths, out, PhotoPairSettings(**(SMALL | settings)), said.append)
    return json.loads((out / "pairs.json").read_text()), said


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.*")}


@pytest.mark.parametrize("blur", ["shake", "object", "both"])
def test_pairs_hold_a_window_of_their_photograph_and_a_blurred_one(
    blur: str, photographs: list[Path], tmp_path: Path
) -> None:
    manifest, _ = made(photographs, tmp_path / "out", blur=blur)
    assert len(manifest["pairs"]) == 12
    for pair in manifest["pairs"]:
        sharp, blurred = (
            read_picture(tmp_path / "out" / pair["split"] / side / f"{pair['name']}.png") for side in ("sharp", "blur")
        )
        top, left = pair["corner"]
        photograph = read_picture(Path(manifest["sources"][pair["source"]]))
        assert np.array_equal(sharp, photograph[top : top + 48, left : left + 64])
        assert 1 < np.square(blurred.astype(float) - sharp).mean() < 3000
        assert pair["blur"] == blur
        assert 0.6 <= pair["reach"] <= 3


def test_training_can_begin_at_once(photographs: list[Path], tmp_path: Path) -> None:
    made(photographs, tmp_path / "out", val=0.2, test=0.3)
    data = open_data(DataSettings(name="folder", root=tmp_path / "out"))
    assert data.training_crops(48)
    assert (len(data.val or ()), len(data.test)) == (2, 4)


def test_a_photograph_is_in_one_split(photographs: list[Path], tmp_path: Path) -> None:
    manifest, _ = made(photographs, tmp_path / "out", per_picture=3)
    places = {(pair["source"], pair["split"]) for pair in manifest["pairs"]}
    assert len(places) == 6
    assert {split for _, split in places} == {"train", "val", "test"}


def test_the_same_seed_gives_the_same_files(photographs: list[Path], tmp_path: Path) -> None:
    for out, seed in (("a", 1), ("b", 1), ("c", 2)):
        made(photographs, tmp_path / out, seed=seed)
    assert files(tmp_path / "a") == files(tmp_path / "b")
    # Another seed gives other pixels, not only other splits.
    assert not {*files(tmp_path / "a").values()} & {*files(tmp_path / "c").values()}


def test_whole_pictures_keep_their_size(photographs: list[Path], tmp_path: Path) -> None:
    made(photographs, tmp_path / "out", size="whole", per_picture=1)
    assert {read_picture(p).shape for p in (tmp_path / "out").rglob("*.png")} == {(80, 90, 3)}


def test_what_cannot_be_used_is_named_and_in_no_split(photographs: list[Path], tmp_path: Path, photo: Picture) -> None:
    folder = photographs[0].parent
    (folder / "broken.png").write_text("no picture")
    Image.fromarray(photo[:40, :90]).save(folder / "small.png")
    (folder / "twin.png").write_bytes(photographs[2].read_bytes())
    manifest, said = made(list_pictures(folder), tmp_path / "out")
    assert len(manifest["sources"]) == 6
    assert len(said) == len(manifest["left_out"]) == 3
    assert "broken.png must be a readable picture" in said[0]
    assert "small.png must be at least 48x64 (height x width); it is 40x90" in said[1]
    assert "twin.png must be another picture than" in said[2]


def test_pictures_of_one_name_in_two_folders_are_two(photographs: list[Path], tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    photographs[0] = photographs[0].rename(tmp_path / "more" / "p1.jpg.png").rename(tmp_path / "more" / "p1.png")
    manifest, _ = made(photographs, tmp_path / "out")
    assert {"p1", "p1-2"} < set(manifest["sources"])


def test_too_few_pictures_and_a_full_folder_are_refused(photographs: list[Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="3 usable pictures, one for each split; got 2"):
        made(photographs[:2], tmp_path / "out")
    with pytest.raises(UserError, match="photographs must be an empty folder or none, or hold what this command"):
        made(photographs, photographs[0].parent)


def test_shares_that_leave_no_photograph_to_train_on_are_refused(photographs: list[Path], tmp_path: Path) -> None:
    said = (
        "val and test must leave at least one of 5 sources to train on; shares of 0.6 and 0.3 take 3 and 2. "
        "Set smaller shares: --val, --test."
    )
    with pytest.raises(UserError, match=f"^{said}$"):
        made(photographs[:5], tmp_path / "out", val=0.6, test=0.3)
    assert not list((tmp_path / "out").iterdir())
    manifest, _ = made(photographs[:5], tmp_path / "out", val=0.4, test=0.4)
    assert [pair["split"] for pair in manifest["pairs"]].count("train") == 2


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"size": "4x64"}, "must be HEIGHTxWIDTH with sides of"),
        ({"size": "large"}, "must be HEIGHTxWIDTH"),
        ({"val": 0.6, "test": 0.4}, "must leave something to train on"),
        ({"blur": "wind"}, "shake"),
    ],
)
def test_settings_are_checked(settings: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        PhotoPairSettings(**settings)


def test_a_window_knows_what_lies_around_it(noise) -> None:
    picture = noise(40, 50)

    def from_the_left(wide: Picture) -> Picture:
        return np.roll(wide, 4, axis=1)

    blurred, sharp = blurred_window(picture, (10, 12), (20, 24), 4, from_the_left)
    assert np.array_equal(sharp, picture[10:30, 12:36])
    assert np.array_equal(blurred, picture[10:30, 8:32])
    at_the_corner, _ = blurred_window(picture, (0, 0), (20, 24), 4, from_the_left)
    assert np.array_equal(at_the_corner[:, 4:], picture[:20, :20])
