import os
import re
import resource
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from baseline.artifact import Artifact, load
from baseline.atomic import DiskFullError, disk_full, remove_leftovers, room_in, whole_file, write_whole
from baseline.errors import UserError
from baseline.journal import Journal
from baseline.settings import FitSettings
from baseline.training_state import TrainingState

LIMIT = 200_000
TOO_MUCH = torch.zeros(LIMIT)


@pytest.fixture
def small_files() -> Iterator[None]:
    """Meanwhile no file of this process can grow beyond a limit: as on a full disk, a write fails half way."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def _torch_by_name(path: Path) -> None:
    torch.save(TOO_MUCH, path)


def _torch_by_file(path: Path) -> None:
    with path.open("wb") as file:
        torch.save(TOO_MUCH, file)


def _openvino(path: Path) -> None:
    openvino = pytest.importorskip("openvino")
    layer = torch.nn.Linear(LIMIT // 4, 2)
    model = openvino.convert_model(layer, example_input=torch.zeros(1, LIMIT // 4))
    openvino.save_model(model, path, compress_to_fp16=False)


WRITERS: dict[str, Callable[[Path], object]] = {
    "bytes": lambda path: path.write_bytes(bytes(2 * LIMIT)),
    "safetensors": lambda path: save_file({"a": TOO_MUCH}, path),
    "torch.save by name": _torch_by_name,
    "torch.save by file": _torch_by_file,
    "PNG": lambda path: Image.frombytes("RGB", (300, 300), os.urandom(270_000)).save(path, format="png"),
    "openvino": _openvino,
}


@pytest.mark.usefixtures("small_files")
@pytest.mark.parametrize("writer", WRITERS)
def test_what_does_not_fit_is_one_line_and_leaves_what_was_there(writer: str, tmp_path: Path) -> None:
    path = tmp_path / "kept.xml"
    path.write_text("as it was")
    with pytest.raises(DiskFullError) as raised, whole_file(path, 4 * LIMIT) as beside:
        WRITERS[writer](beside)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("kept.xml", "as it was")]


def test_a_write_that_fails_on_a_disk_with_room_keeps_its_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="iostream error"), whole_file(tmp_path / "a", 10):
        raise RuntimeError("basic_ios::clear: iostream error")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "raised",
    [
        OSError(28, "No space left on device"),
        OSError(122, "Disk quota exceeded"),
        RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),
        RuntimeError("C++ compile error\nfatal error: error writing to /tmp/x.s: No space left on device"),
    ],
)
def test_a_full_disk_is_known_by_its_number_or_its_words(raised: Exception, tmp_path: Path) -> None:
    outer = ValueError("the writer is closed")
    outer.__context__ = raised
    assert str(tmp_path / "a") in str(disk_full(outer, tmp_path / "a"))
    with pytest.raises(DiskFullError), room_in(tmp_path):
        raise raised


def test_how_much_is_missing_is_told(tmp_path: Path) -> None:
    said = str(disk_full(OSError(28, "full"), tmp_path / "a", 10**18))
    found = re.search(r"1000000000000.0 MB are to be written, (.+) MB are free. Make (.+) MB more there", said)
    assert found is not None
    assert float(found[1]) + float(found[2]) == pytest.approx(1e12)


@pytest.mark.parametrize("raised", [OSError(13, "Permission denied"), UserError("no runtime"), ValueError("28")])
def test_other_errors_stay_what_they_are(raised: Exception, tmp_path: Path) -> None:
    assert disk_full(raised) is None
    with pytest.raises(type(raised)), room_in(tmp_path):
        raise raised


def test_leftovers_of_processes_that_are_gone_are_removed(tmp_path: Path) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    for name in (f".a.{gone.pid}.part.png", f".b.{os.getpid()}.part", "c.part", ".d.part.png", f".e.{gone.pid}.png"):
        (tmp_path / name).touch()
    remove_leftovers(tmp_path)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {f".b.{os.getpid()}.part", "c.part", ".d.part.png", f".e.{gone.pid}.png"}


def test_names_of_every_kind_are_written(tmp_path: Path) -> None:
    for name in ("a" * 251 + ".png", os.fsdecode(b"caf\xe9.png"), ".hidden", "rel-1.2"):
        write_whole(tmp_path / "new" / name, "é")
        assert (tmp_path / "new" / name).read_bytes() == b"\xc3\xa9"
    assert len(list((tmp_path / "new").iterdir())) == 4


def test_an_artifact_that_does_not_fit_leaves_the_one_before_and_is_saved_when_there_is_room(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    Artifact.new("mimo-unet", {"width": 4, "num_blocks": 1}, 0).save(tmp_path / "kept")
    larger = Artifact.new("mimo-unet", {"width": 16, "num_blocks": 1}, 0)
    request.getfixturevalue("small_files")
    with pytest.raises(DiskFullError, match=r"kept/weights\.safetensors must be of a size"):
        larger.save(tmp_path / "kept")
    assert load(tmp_path / "kept").arguments["width"] == 4
    with pytest.raises(DiskFullError):
        larger.save(tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []


def test_a_checkpoint_that_does_not_fit_leaves_the_one_before(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    state = TrainingState(torch.nn.Linear(200, 200), FitSettings(steps=4), tmp_path / "c.pt", torch.device("cpu"))
    state.save()
    request.getfixturevalue("small_files")
    state.step = 3
    with pytest.raises(DiskFullError):
        state.save()
    assert [path.name for path in tmp_path.iterdir()] == ["c.pt"]
    assert torch.load(tmp_path / "c.pt")["step"] == 0


def test_a_journal_that_could_not_be_written_goes_on_after_its_torn_line(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    made = tmp_path / "a.png"
    made.touch()
    journal = Journal(tmp_path, "key")
    journal.note(made, tmp_path / "b.png", made)
    kept = tmp_path / ".lightsharp-restore.jsonl"
    kept.write_text(kept.read_text() + "x" * (LIMIT - kept.stat().st_size - 20) + "\n")
    request.getfixturevalue("small_files")
    with pytest.raises(DiskFullError):
        journal.note(made, tmp_path / "c.png", made)
    kept.write_text(kept.read_text()[-200:])
    journal.note(made, tmp_path / "d.png", made)
    made.rename(tmp_path / "d.png")
    assert Journal(tmp_path, "key").made(tmp_path / "d.png")
