from pathlib import Path

import pytest

from baseline.journal import NAME, Journal


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    source, target = tmp_path / "in.png", tmp_path / "out" / "a" / "in.png"
    target.parent.mkdir(parents=True)
    source.write_text("source")
    target.write_text("restored")
    return source, target


def test_what_is_whole_is_finished(files: tuple[Path, Path], tmp_path: Path) -> None:
    source, target = files
    journal = Journal(tmp_path / "out", "key")
    assert not journal.finished(source, target)
    journal.note(source, target, target)
    for again in (journal, Journal(tmp_path / "out", "key")):
        assert again.finished(source, target)
    assert not Journal(tmp_path / "out", "another network").finished(source, target)


def test_what_has_changed_is_not(files: tuple[Path, Path], tmp_path: Path) -> None:
    source, target = files
    Journal(tmp_path / "out", "key").note(source, target, target)
    target.write_text("restore")
    assert not Journal(tmp_path / "out", "key").finished(source, target)
    target.unlink()
    assert not Journal(tmp_path / "out", "key").finished(source, target)
    target.write_text("restored")
    assert Journal(tmp_path / "out", "key").finished(source, target)
    source.write_text("another")
    assert not Journal(tmp_path / "out", "key").finished(source, target)


def test_a_line_that_was_cut_short_is_no_line(files: tuple[Path, Path], tmp_path: Path) -> None:
    source, target = files
    Journal(tmp_path / "out", "key").note(source, target, target)
    path = tmp_path / "out" / NAME
    whole = path.read_text()
    path.write_text(whole + whole[:20])
    journal = Journal(tmp_path / "out", "key")
    assert journal.finished(source, target)
    journal.note_settings({"memory": 5})
    again = Journal(tmp_path / "out", "key")
    assert again.settings() == {"memory": 5}
    assert again.finished(source, target)
    assert Journal(tmp_path / "out", "other").settings() is None


def test_what_a_file_could_not_keep_is_known_to_a_run_that_goes_on(tmp_path: Path) -> None:
    target = tmp_path / "out" / "a.png"
    target.parent.mkdir()
    target.write_text("made")
    journal = Journal(target.parent, "key")
    assert journal.lost(target) is None
    journal.note(target, target, target)
    journal.note_lost(target, "its XMP is lost")
    again = Journal(target.parent, "key")
    assert (again.lost(target), again.finished(target, target)) == ("its XMP is lost", True)
