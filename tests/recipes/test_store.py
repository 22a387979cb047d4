import json
from collections.abc import Callable
from pathlib import Path

import pytest

from baseline.errors import UserError
from recipes.store import Store


def writes(text: str, calls: list[str] | None = None) -> Callable[[Path, Path], None]:
    def work(output: Path, scratch: Path) -> None:
        if calls is not None:
            calls.append(text)
        (output / "inner").mkdir()
        (output / "inner" / "a.txt").write_text(text)

    return work


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / ".store")


def test_what_was_made_is_found(store: Store) -> None:
    assert store.find("k") is None
    entry = store.make("k", {"stage": "x"}, writes("hello"))
    assert entry == store.folder / "k" == store.find("k")
    assert (entry / "inner/a.txt").read_text() == "hello"
    assert json.loads((entry / "entry.json").read_text())["identity"] == {"stage": "x"}
    assert [p.name for p in store.folder.iterdir()] == ["k"]


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [flip, Path.unlink, lambda path: path.write_text("")])
def test_a_damaged_entry_is_done_again(store: Store, damage: Callable[[Path], object]) -> None:
    damage(store.make("k", {}, writes("hello")) / "inner/a.txt")
    assert store.find("k") is None
    assert not (store.folder / "k").exists()
    assert (store.make("k", {}, writes("hello")) / "inner/a.txt").read_text() == "hello"


def test_an_entry_whose_description_is_cut_is_done_again(store: Store) -> None:
    entry = store.make("k", {}, writes("hello"))
    (entry / "entry.json").write_text('{"identity": {}, "fil')
    assert store.find("k") is None


def test_work_that_fails_leaves_no_entry_but_its_scratch(store: Store) -> None:
    def fails(output: Path, scratch: Path) -> None:
        (output / "half.txt").write_text("half")
        (scratch / "checkpoint").write_text("7")
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        store.make("k", {}, fails)
    assert store.find("k") is None
    seen = []

    def resumes(output: Path, scratch: Path) -> None:
        seen.append((scratch / "checkpoint").read_text())
        (output / "whole.txt").write_text("whole")

    entry = store.make("k", {}, resumes)
    assert seen == ["7"]
    assert sorted(p.name for p in entry.iterdir()) == ["entry.json", "whole.txt"]
    assert [p.name for p in store.folder.iterdir()] == ["k"]


def test_an_entry_appears_with_the_last_step(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost_power(self: Path, target: Path) -> None:
        raise OSError("lost power")

    monkeypatch.setattr(Path, "rename", lost_power)
    with pytest.raises(OSError, match="lost power"):
        store.make("k", {}, writes("hello"))
    assert store.find("k") is None
    assert not (store.folder / "k").exists()
    monkeypatch.undo()
    assert (store.make("k", {}, writes("again")) / "inner/a.txt").read_text() == "again"


def test_a_store_is_held_by_one_run(store: Store) -> None:
    with store.held(), pytest.raises(UserError) as error, Store(store.folder).held():
        pass
    assert str(error.value) == (
        f"{store.folder} must be used by one run at a time; another one is using it. Wait for it."
    )
    with store.held():
        pass


def test_a_store_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = Store(tmp_path / "file" / ".store")
    with pytest.raises(UserError, match="must be a folder that can be written; Not a directory"), store.held():
        pass
