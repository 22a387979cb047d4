from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from baseline.artifact import Artifact
from baseline.errors import UserError
from recipes.costing import cost_cached
from recipes.planning import _started
from recipes.recording import Finished
from recipes.runner import _Run
from recipes.schema import Gates, parse_steps
from recipes.store import Store
from recipes.subjects import Subject, scored_as, scored_runtime


@pytest.mark.parametrize(
    ("gated", "runtime"), [(None, "aoti"), ("openvino", "openvino"), ("onnxruntime", "onnxruntime"), ("eager", "aoti")]
)
def test_all_rows_of_a_table_are_scored_and_sized_on_one_runtime(gated: str | None, runtime: str) -> None:
    have = {"a": ("onnxruntime", "aoti", "openvino"), "b": ("aoti", "openvino"), "c": ("aoti",), "memory": ()}
    subjects = [Subject(name, None, {own: Path(own) for own in files}) for name, files in have.items()]
    assert scored_runtime(subjects, gated) == runtime
    for subject in subjects:
        ordered = scored_as(subject, runtime)
        assert set(ordered.files) == set(subject.files)
        if runtime in subject.files:
            assert next(iter(ordered.files)) == runtime
    assert scored_runtime(subjects[3:], None) is None


@pytest.mark.parametrize(
    ("raised", "reason"),
    [(UserError("it must restore 'a'"), "it must restore 'a'"), (RuntimeError("kernel"), "RuntimeError: kernel")],
)
def test_a_variant_that_fails_when_it_is_scored_fails_alone_and_a_teacher_ends_the_run(
    raised: Exception, reason: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def scored(_: _Run, subject: Subject) -> list[str]:
        if subject.name == broken:
            raise raised
        return ["scored"]

    monkeypatch.setattr(_Run, "_score", scored)
    monkeypatch.setattr(_Run, "_tell", lambda run, event: None)
    run = object.__new__(_Run)
    run.out, run._only_users_errors = tmp_path, True
    run.recipe = SimpleNamespace(variants={"wild": [], "tame": []}, gates=Gates())
    finished = {name: Finished(Subject(name, None, {}), []) for name in ("teacher", "wild", "tame")}
    failed = {}
    broken = "wild"
    assert run._score_all(finished, failed) == {"teacher": ["scored"], "tame": ["scored"]}
    assert list(finished) == ["teacher", "tame"]
    assert (failed["wild"].status, failed["wild"].error) == ("failed", reason)
    assert (tmp_path / "variants/wild/traceback.txt").exists() == isinstance(raised, RuntimeError)
    broken = "teacher"
    with pytest.raises(type(raised), match=str(raised)):
        run._score_all(finished, failed)


def test_what_is_known_of_a_users_own_network_goes_with_its_code(
    tmp_path: Path, importable: Callable[[str, str], str]
) -> None:
    source = "from baseline.networks.edge import EdgeNet\n\ndef make():\n    return EdgeNet(8, 1, 'plain')\n"
    module = tmp_path / f"{importable('own_scored', source)}.py"
    Artifact.new("own_scored:make", {}, 0).save(tmp_path / "network")
    store = Store(tmp_path / ".store")

    def costs() -> int:
        cost_cached(store, tmp_path / "network", (32, 32))
        return len(list(store.folder.iterdir()))

    assert (costs(), costs()) == (1, 1)
    module.write_text(module.read_text() + "CHANGED = 1\n")
    assert costs() == 2


def test_a_plan_of_a_student_with_branches_is_of_what_it_is_folded_to() -> None:
    (step,) = parse_steps({"distill": {"student": "edge", "steps": 1}}, "x")
    assert not any("branch" in type(layer).__name__.lower() for layer in _started(step, ("mimo-unet", {})).modules())
