from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from baseline.bounded import BoundedRestorer
from baseline.data.pictures import Picture, read_picture, write_picture
from baseline.errors import UserError
from baseline.evaluate import Unchanged
from baseline.journal import NAME, Journal
from baseline.restore import other_files, picture_paths, plan_outputs, restore_files
from baseline.restorer import Finest, NetworkRestorer, restore_any_size

Noise = Callable[..., Picture]


class Asking:
    """A restorer that returns its input and remembers the sizes it was given."""

    max_batch: int | None = None

    def __init__(self, size_multiple: int, fixed_size: tuple[int, int] | None = None) -> None:
        self.size_multiple, self.min_size = size_multiple, 2 * size_multiple
        self.fixed_size = fixed_size
        self.asked: list[tuple[int, ...]] = []

    def __call__(self, blurred: Tensor) -> Tensor:
        self.asked.append(tuple(blurred.shape[-2:]))
        return blurred


@pytest.mark.parametrize(
    ("size", "multiple", "asked"),
    [
        ((1, 1), 4, (8, 8)),
        ((5, 3), 4, (8, 8)),
        ((101, 203), 4, (104, 204)),
        ((64, 32), 4, (64, 32)),
        ((7, 9), 1, (7, 9)),
    ],
)
def test_any_size_goes_in_padded_and_comes_out_as_it_was(
    size: tuple[int, int], multiple: int, asked: tuple[int, int]
) -> None:
    picture = torch.rand(1, 3, *size)
    restorer = Asking(multiple)
    assert torch.equal(restore_any_size(restorer, picture), picture)
    assert restorer.asked == [asked]


def test_a_fixed_size_is_padded_to() -> None:
    restorer = Asking(4, fixed_size=(64, 96))
    assert restore_any_size(restorer, torch.rand(1, 3, 50, 90)).shape == (1, 3, 50, 90)
    assert restorer.asked == [(64, 96)]


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (101, 203)])
def test_a_network_keeps_any_size(tiny: Callable[..., nn.Module], size: tuple[int, int]) -> None:
    restored = restore_any_size(NetworkRestorer(tiny()), torch.rand(2, 3, *size))
    assert restored.shape == (2, 3, *size)
    assert restored.isfinite().all()


def test_padding_reflects(tiny: Callable[..., nn.Module]) -> None:
    network = tiny()
    picture = torch.rand(1, 3, 14, 16)
    reflected = torch.cat([picture, picture[..., 12:13, :], picture[..., 11:12, :]], dim=-2)
    with torch.no_grad():
        expected = network(reflected)[-1][..., :14, :]
    torch.testing.assert_close(restore_any_size(NetworkRestorer(network), picture), expected)


def test_the_finest_output_is_the_answer(tiny: Callable[..., nn.Module]) -> None:
    network = tiny()
    picture = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        assert torch.equal(Finest(network)(picture), network(picture)[2])
    assert Finest(network).size_multiple == 4


def test_folders_keep_their_structure(tmp_path: Path, noise: Noise) -> None:
    inside = tmp_path / "in"
    for name in ("a.png", "深い/b.jpg", "deep/er/c.PNG"):
        (inside / name).parent.mkdir(parents=True, exist_ok=True)
        write_picture(noise(), inside / name)
    (inside / "notes.txt").write_text("no picture")
    out = tmp_path / "out"
    planned = dict(plan_outputs([inside], out))
    assert planned == {inside / name: out / name for name in ("a.png", "深い/b.jpg", "deep/er/c.PNG")}
    assert not out.exists()


@pytest.mark.parametrize(
    ("inputs", "out", "said"),
    [
        (["nothing.png"], "out", "nothing.png must be a picture, a video or a folder of them; there is none."),
        (["empty"], "out", "empty must hold pictures or videos; it holds none."),
        (["a/x.png", "b/x.png"], "out", "outputs must have different names;"),
        (["a"], "a", "--out must not be a folder of the inputs;"),
    ],
)
def test_a_plan_that_cannot_work_is_refused(
    tmp_path: Path, noise: Noise, monkeypatch: pytest.MonkeyPatch, inputs: list[str], out: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("a", "b", "empty"):
        Path(folder).mkdir()
    write_picture(noise(), Path("a/x.png"))
    write_picture(noise(), Path("b/x.png"))
    with pytest.raises(UserError) as error:
        plan_outputs([Path(given) for given in inputs], Path(out))
    assert str(error.value).startswith(said)


def test_a_bad_file_does_not_stop_the_others(tmp_path: Path, noise: Noise) -> None:
    inside = tmp_path / "in"
    inside.mkdir()
    for name in ("a.png", "c.png"):
        write_picture(noise(5, 3), inside / name)
    (inside / "b.png").write_bytes((inside / "a.png").read_bytes()[:60])
    done = list(restore_files(BoundedRestorer(Unchanged(), 10**9), plan_outputs([inside], tmp_path / "out")))
    assert [one.error is None for one in done] == [True, False, True]
    assert str(inside / "b.png") in str(done[1].error)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.png", "c.png"]
    assert np.array_equal(read_picture(tmp_path / "out/c.png"), noise(5, 3))


def test_nothing_is_half_written(tmp_path: Path, noise: Noise, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Image.Image.save

    def full_disk(image: Image.Image, path: Path, **settings: object) -> None:
        whole(image, path, **settings)
        path.write_bytes(path.read_bytes()[:20])
        raise OSError("no space left on device")

    (tmp_path / "in").mkdir()
    write_picture(noise(), tmp_path / "in/a.png")
    planned = plan_outputs([tmp_path / "in"], tmp_path / "out")
    monkeypatch.setattr(Image.Image, "save", full_disk)
    (done,) = restore_files(BoundedRestorer(Unchanged(), 10**9), planned)
    assert done.error == "no space left on device"
    assert list((tmp_path / "out").iterdir()) == []


def test_what_is_there_is_not_overwritten_unless_asked(tmp_path: Path, noise: Noise) -> None:
    write_picture(noise(), tmp_path / "a.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a.png").write_text("mine")
    with pytest.raises(UserError, match=r"must not be there yet; it is\. Choose another --out, or add --overwrite"):
        plan_outputs([tmp_path / "a.png"], tmp_path / "out")
    assert len(plan_outputs([tmp_path / "a.png"], tmp_path / "out", overwrite=True)) == 1


def test_no_input_is_overwritten_by_another(tmp_path: Path, noise: Noise) -> None:
    for name in ("x/k/b.png", "out/k/b.png"):
        (tmp_path / name).parent.mkdir(parents=True)
        write_picture(noise(), tmp_path / name)
    with pytest.raises(UserError, match=r"out/k/b\.png would be overwritten"):
        plan_outputs([tmp_path / "x", tmp_path / "out/k"], tmp_path / "out", overwrite=True)


def test_what_was_made_of_a_source_that_changed_is_made_again(tmp_path: Path, noise: Noise) -> None:
    source, out = tmp_path / "a.png", tmp_path / "out"
    out.mkdir()
    for size in (20, 24):
        write_picture(noise(size, size), source)
        planned = plan_outputs([source], out, journal=Journal(out, "key"))
        assert planned == [(source, out / "a.png")]
        (done,) = restore_files(BoundedRestorer(Unchanged(), 10**9), planned, Journal(out, "key"))
        assert done.error is None
    assert read_picture(out / "a.png").shape == (24, 24, 3)
    assert plan_outputs([source], out, overwrite=True, journal=Journal(out, "key")) == []
    write_picture(noise(9, 9), out / "a.png")
    write_picture(noise(8, 8), source)
    with pytest.raises(UserError, match=r"must not be there yet; it is"):
        plan_outputs([source], out, journal=Journal(out, "key"))


def test_the_longest_names_are_written(tmp_path: Path, noise: Noise) -> None:
    name = "n" * 251 + ".png"
    write_picture(noise(), tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_the_pairs_of_a_data_set_have_places_that_are_free_and_inside(tmp_path: Path) -> None:
    assert picture_paths(["a", "seq/0.1", "夜"], tmp_path) == {
        "a": tmp_path / "a.png",
        "seq/0.1": tmp_path / "seq" / "0.1.png",
        "夜": tmp_path / "夜.png",
    }
    with pytest.raises(UserError, match=r"names must lead into .*; '\.\./a' does not"):
        picture_paths(["../a"], tmp_path)
    (tmp_path / "a.png").touch()
    with pytest.raises(UserError, match=r"a\.png must not be there yet; it is\. Choose another folder\."):
        picture_paths(["b", "a"], tmp_path)


def test_an_output_folder_inside_the_input_is_no_input(tmp_path: Path, noise: Noise) -> None:
    write_picture(noise(), tmp_path / "a.png")
    (tmp_path / "out").mkdir()
    write_picture(noise(), tmp_path / "out/b.png")
    (tmp_path / "c.gif").write_bytes(b"GIF89a")
    assert plan_outputs([tmp_path], tmp_path / "out") == [(tmp_path / "a.png", tmp_path / "out/a.png")]
    assert other_files([tmp_path], tmp_path / "out") == [tmp_path / "c.gif"]


def test_folders_and_patterns_that_cannot_be_used(
    tmp_path: Path, noise: Noise, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in" / "clip.mp4").mkdir(parents=True)
    write_picture(noise(), tmp_path / "in/a.png")
    assert plan_outputs([Path("in")], Path("out")) == [(Path("in/a.png"), Path("out/a.png"))]
    with pytest.raises(UserError, match=r"^in/\*\*\.png must be a pattern of files; "):
        plan_outputs([Path("in/**.png")], Path("out"))


def test_a_source_that_is_gone_does_not_stop_a_run_that_goes_on(tmp_path: Path, noise: Noise) -> None:
    inside, out = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    out.mkdir()
    for name in "ab":
        write_picture(noise(), tmp_path / f"{name}.png")
        (inside / f"{name}.png").symlink_to(tmp_path / f"{name}.png")
    bounded, journal = BoundedRestorer(Unchanged(), 10**9), Journal(out, "key")
    assert [done.error for done in restore_files(bounded, plan_outputs([inside], out), journal)] == [None, None]
    (tmp_path / "a.png").unlink()
    (out / "a.png").unlink()
    (out / NAME).write_text((out / NAME).read_text() + "[1]\n")
    planned = plan_outputs([inside], out, journal=Journal(out, "key"))
    (done,) = restore_files(bounded, planned, journal)
    assert done.error == f"{inside / 'a.png'} must be a picture; there is no such file."


class Fails(Unchanged):
    """A network that fails on wide images, as one that runs out of memory."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __call__(self, blurred: Tensor) -> Tensor:
        if blurred.shape[-1] > 30:
            raise self.error
        return blurred


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("shape '[3]' is invalid\nfor input"), "RuntimeError: shape '[3]' is invalid"),
        (torch.OutOfMemoryError("out of memory"), "OutOfMemoryError: out of memory"),
        (MemoryError(), "MemoryError: no reason"),
    ],
)
def test_an_image_on_which_the_network_fails_does_not_stop_the_others(
    tmp_path: Path, noise: Noise, error: Exception, said: str
) -> None:
    (tmp_path / "in").mkdir()
    for name, width in (("a", 8), ("b", 40), ("c", 9)):
        write_picture(noise(6, width), tmp_path / "in" / f"{name}.png")
    bounded = BoundedRestorer(Fails(error), 10**9)
    done = list(restore_files(bounded, plan_outputs([tmp_path / "in"], tmp_path / "out")))
    assert [one.error for one in done] == [None, f"{tmp_path / 'in/b.png'} could not be restored; {said}", None]
    assert done[1].trace is not None
    assert "Traceback" in done[1].trace
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png", "c.png"]
