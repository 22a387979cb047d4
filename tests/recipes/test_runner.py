from types import SimpleNamespace

import pytest

from baseline.errors import UserError
from recipes.measuring import Subject
from recipes.recording import Finished
from recipes.runner import _Run


def test_a_variant_that_restores_no_pictures_fails_alone_and_a_teacher_ends_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def scored(_: _Run, subject: Subject) -> list[str]:
        if subject.name == broken:
            raise UserError("the network must restore 'a' to a picture in 0..1")
        return ["scored"]

    monkeypatch.setattr(_Run, "_score", scored)
    monkeypatch.setattr(_Run, "_tell", lambda run, event: None)
    run = object.__new__(_Run)
    run.recipe = SimpleNamespace(variants={"wild": [], "tame": []})
    finished = {name: Finished(Subject(name, None, {}), []) for name in ("teacher", "wild", "tame")}
    failed = {}
    broken = "wild"
    assert run._score_all(finished, failed) == {"teacher": ["scored"], "tame": ["scored"]}
    assert list(finished) == ["teacher", "tame"]
    assert (failed["wild"].status, failed["wild"].error) == (
        "failed",
        "the network must restore 'a' to a picture in 0..1",
    )
    broken = "teacher"
    with pytest.raises(UserError, match="must restore 'a'"):
        run._score_all(finished, failed)
