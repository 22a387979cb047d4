import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from baseline.data.datasets import DATASETS, open_data
from baseline.data.pairs import DataSet
from baseline.errors import UserError
from baseline.settings import DataSettings

WritePair = Callable[..., object]
REALBLUR_J = "RealBlur-J_ECC_IMCORR_centroid_itensity_ref"


def opened(name: str, root: Path) -> DataSet:
    return open_data(DataSettings(name=name, root=root))


def read(path: Path) -> np.ndarray:
    return np.array(Image.open(path))


@pytest.fixture
def published_gopro(tmp_path: Path, write_pair: WritePair) -> Path:
    """ROOT/{train,test}/SEQUENCE/{blur,blur_gamma,sharp}: three sequences and one, two frames each."""
    for split, sequences in (("train", (1, 2, 3)), ("test", (4,))):
        for sequence in sequences:
            for frame in (47, 48):
                home = tmp_path / "GOPRO_Large" / split / f"GOPR0384_11_0{sequence}"
                write_pair(home / f"blur/{frame:06}.png", home / f"sharp/{frame:06}.png", 10 * sequence + frame)
                (home / "blur_gamma").mkdir(exist_ok=True)
                gamma = 255 * (read(home / f"blur/{frame:06}.png") / 255) ** 0.8
                Image.fromarray(gamma.astype(np.uint8)).save(home / f"blur_gamma/{frame:06}.png")
    return tmp_path / "GOPRO_Large"


def repack(published: Path, sides: tuple[str, str], separator: str) -> Path:
    root = published.parent / "repacked"
    for side, new in zip(("blur", "sharp"), sides, strict=True):
        for path in published.glob(f"*/*/{side}/*.png"):
            split, sequence = path.parts[-4:-2]
            target = root / split / new / f"{sequence}{separator}{path.name}"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    return root


def same(one: DataSet, other: DataSet) -> bool:
    assert one.val is not None
    assert other.val is not None
    pairs = zip([*one.test, *one.val], [*other.test, *other.val], strict=True)
    return all(a.name == b.name and a.group == b.group and np.array_equal(a.blurred, b.blurred) for a, b in pairs)


def test_gopro_has_sequences(published_gopro: Path) -> None:
    data = opened("gopro", published_gopro)
    assert data.test.names == ["GOPR0384_11_04/000047", "GOPR0384_11_04/000048"]
    assert {p.group for p in data.test} == {"GOPR0384_11_04"}
    assert data.val is not None
    assert {p.group for p in data.val} == {"GOPR0384_11_03"}
    pair = next(iter(data.test))
    assert np.array_equal(pair.blurred, read(published_gopro / "test/GOPR0384_11_04/blur/000047.png"))
    assert np.array_equal(pair.sharp, read(published_gopro / "test/GOPR0384_11_04/sharp/000047.png"))
    assert "its blur/ pictures" in data.notes[0]
    assert same(data, opened("gopro", published_gopro.parent))


@pytest.mark.parametrize(("sides", "separator"), [(("blur", "sharp"), "_"), (("input", "target"), "-")])
def test_repacked_gopro_is_the_same_data(published_gopro: Path, sides: tuple[str, str], separator: str) -> None:
    root = repack(published_gopro, sides, separator)
    assert same(opened("gopro", root), opened("gopro", published_gopro))
    with pytest.raises(
        UserError, match=r"must hold sequences with blur_gamma/; it is repacked without\. Take data 'gopro'"
    ):
        opened("gopro-gamma", root)


def test_gopro_gamma_takes_the_other_blurred_pictures(published_gopro: Path) -> None:
    data = opened("gopro-gamma", published_gopro)
    pair = next(iter(data.test))
    assert np.array_equal(pair.blurred, read(published_gopro / "test/GOPR0384_11_04/blur_gamma/000047.png"))
    assert "most published tables are on blur/ instead" in data.notes[0]


def test_hide_is_read_as_published_and_repacked(tmp_path: Path, write_pair: WritePair) -> None:
    home, packed = tmp_path / "HIDE_dataset", tmp_path / "packed"
    for i, place in enumerate(("train", "train", "test/test-close-ups", "test/test-long-shot")):
        write_pair(home / place / f"{i}from.png", home / f"GT/{i}from.png", seed=i)
        split = place.split("/")[0]
        write_pair(packed / split / f"input/{i}from.png", packed / split / f"target/{i}from.png", seed=i)
    data = opened("hide", tmp_path)
    assert data.test.names == ["2from", "3from"]
    assert same(data, opened("hide", packed))
    (home / "GT/3from.png").unlink()
    with pytest.raises(UserError, match=r"3from\.png must have a partner of the same name in .*GT; there is none"):
        opened("hide", home)


@pytest.fixture
def realblur(tmp_path: Path, write_pair: WritePair) -> Path:
    """Three scenes of two pairs; their lines end in a space, as the published ones do."""
    for part, scenes in (("train", (1, 2)), ("test", (230,))):
        lines = []
        for scene in scenes:
            for i in (7, 12):
                sharp, blurred = (f"{REALBLUR_J}/scene{scene:03}/{side}/{side}_{i}.png" for side in ("gt", "blur"))
                write_pair(tmp_path / blurred, tmp_path / sharp, seed=scene + i, height=49, width=63)
                lines.append(f"{sharp} {blurred} \n")
        (tmp_path / f"RealBlur_J_{part}_list.txt").write_text("".join(lines))
    return tmp_path


def test_realblur_goes_by_its_lists(realblur: Path) -> None:
    data = opened("realblur-j", realblur)
    assert data.test.names == ["scene230/blur_7", "scene230/blur_12"]
    assert {p.group for p in data.test} == {"scene230"}
    first = next(iter(data.test))
    assert np.array_equal(first.sharp, read(realblur / REALBLUR_J / "scene230/gt/gt_7.png"))
    assert np.array_equal(first.blurred, read(realblur / REALBLUR_J / "scene230/blur/blur_7.png"))
    assert data.val is not None
    assert {p.group for p in data.val} == {"scene002"}


def test_only_realblur_is_scored_after_alignment(realblur: Path, published_gopro: Path) -> None:
    data = opened("realblur-j", realblur)
    assert data.val is not None
    assert [data.test.aligned, data.val.aligned, data.test.only(data.test.names[:1]).aligned] == [True] * 3
    assert any("aligning the restored picture to the sharp one by ECC" in note for note in data.notes)
    assert not opened("gopro", published_gopro).test.aligned


@pytest.mark.parametrize(
    "line",
    [
        "{blur} {sharp}",  # the other way round: a network would learn to blur
        "{sharp}",
        "{sharp} {blur} 0",
        "gt/gt_7.png blur/blur_7.png",
    ],
)
def test_a_list_with_a_wrong_line_is_refused(realblur: Path, line: str) -> None:
    sharp, blur = (f"{REALBLUR_J}/scene230/{side}/{side}_7.png" for side in ("gt", "blur"))
    wrong = line.format(sharp=sharp, blur=blur)
    (realblur / "RealBlur_J_test_list.txt").write_text(f"{sharp} {blur}\n{wrong}\n")
    with pytest.raises(UserError) as error:
        opened("realblur-j", realblur)
    assert f"line 2 of {realblur / 'RealBlur_J_test_list.txt'} must name a sharp file in a folder gt/" in str(
        error.value
    )
    assert f"it reads '{wrong}'." in str(error.value)


def test_a_list_that_is_no_text_is_refused(realblur: Path) -> None:
    listed = realblur / "RealBlur_J_test_list.txt"
    listed.write_bytes("scene230/gt/gt_é.png".encode("latin-1"))
    with pytest.raises(UserError) as error:
        opened("realblur-j", realblur)
    assert str(error.value) == f"{listed} must be text in UTF-8; byte 15 is not. Restore or convert it."


def test_rsblur_goes_by_its_lists_in_bursts(tmp_path: Path, write_pair: WritePair) -> None:
    # The published lists go from 000382 to 000401, from 000582 to 000601, and so on.
    numbers = {"train": (382, 401, 402), "val": (582,), "test": (2142,)}
    for part, members in numbers.items():
        lines = []
        for number in members:
            sharp, blurred = (f"RSBlur/0003/{number:06}/{x}" for x in ("gt/gt_sharp.png", "real_blur/real_blur.png"))
            write_pair(tmp_path / blurred, tmp_path / sharp, seed=number)
            lines.append(f"{sharp} {blurred}\n")
        listed = tmp_path / f"datalist/RSBlur/RSBlur_real_{part}.txt"
        listed.parent.mkdir(parents=True, exist_ok=True)
        listed.write_text("".join(lines))
    data = opened("rsblur", tmp_path)
    assert data.test.names == ["0003/002142"]
    assert data.val is not None
    assert data.val.names == ["0003/000582"]
    assert not data.test.aligned
    from baseline.data.layouts import rsblur_parts

    assert [pair.group for pair in rsblur_parts(tmp_path).train] == ["0003/19", "0003/19", "0003/20"]


def test_made_pairs_are_grouped_by_what_they_come_from(tmp_path: Path, write_pair: WritePair) -> None:
    named = [("train", "a-0"), ("train", "a-1"), ("train", "b-0"), ("test", "c-0"), ("test", "c-1")]
    for seed, (part, name) in enumerate(named):
        write_pair(tmp_path / part / f"blur/{name}.png", tmp_path / part / f"sharp/{name}.png", seed)
    pairs = [{"name": name, "split": part, "source": name[0]} for part, name in named]
    (tmp_path / "pairs.json").write_text(json.dumps({"pairs": pairs}))
    data = opened("folder", tmp_path)
    assert [p.group for p in data.test] == ["c", "c"]
    assert data.val is not None
    assert data.val.names == ["b-0"]
    (tmp_path / "pairs.json").write_text("[]")
    with pytest.raises(UserError, match=r"pairs\.json must be as make-pairs wrote it; it is not"):
        opened("folder", tmp_path)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("folder", "must hold blur/ and sharp/, or input/ and target/; it holds neither"),
        ("gopro", "must hold GoPro sequences, folders with blur/ and sharp/, or be repacked as blur/ and sharp/"),
        ("gopro-gamma", "must hold GoPro sequences, folders with blur_gamma/ and sharp/"),
        ("hide", "must hold blur/ and sharp/, or input/ and target/; it holds neither"),
        ("realblur-j", "must hold the list file RealBlur_J_test_list.txt, in it or in its datalist/; it does not"),
        ("realblur-r", "must hold the list file RealBlur_R_test_list.txt"),
        ("rsblur", "must hold the list file RSBlur_real_test.txt"),
    ],
)
def test_an_empty_root_is_told_the_layout(name: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        opened(name, tmp_path)
    assert str(tmp_path) in str(error.value)
    assert said in str(error.value)


def test_blurred_pictures_without_sharp_ones_are_sent_to_restore(tmp_path: Path) -> None:
    (tmp_path / "blur").mkdir()
    with pytest.raises(UserError, match=r"it holds blur/ only\. Pictures without sharp ones .*: lightsharp restore\."):
        opened("folder", tmp_path)


@pytest.mark.parametrize("name", ["folder", "gopro", "hide", "realblur-j", "realblur-r", "rsblur"])
def test_a_data_set_says_its_layout_in_its_first_line(name: str) -> None:
    assert "ROOT" in DATASETS.describe()[name]
