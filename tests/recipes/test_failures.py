"""Runs in which variants fail in ways that no recipe foresees: the others go on, and a report tells of all."""

import json
from pathlib import Path

import pytest
from tiny_runs import MEASURE, SMALL, TINY, Run, recipe, report_of

VARIANTS = {
    "unexported": [{"quantize": {"scheme": "bf16"}}],
    "pruned": [{"prune": {"params_cut": 0.3}}],
    "pruned-fp16": [{"from": "pruned"}, {"quantize": {"scheme": "fp16"}}],
    "full": [{"train": {"network": "mimo-unet", "arguments": TINY, "steps": 1, **SMALL}}],
    "int8": [{"quantize": {"scheme": "int8", "crops": 2, "crop": 64}}],
}
EXECUTORCH = {"measure": MEASURE | {"runtimes": ["executorch"], "pictures": 1}}

# The command line, where pruning breaks as autograd does, and files cannot grow in a training of one step, as on a full
# disk.
FAULTY = """
import resource
import recipes.stages.prune, recipes.stages.train
from recipes.cli import main

train = recipes.stages.train.run

def broken(given, settings):
    print("pruning")
    raise RuntimeError("a variable needed for gradient computation was modified\\nHint: enable anomaly detection")

def full(given, settings):
    kept = resource.getrlimit(resource.RLIMIT_FSIZE)
    if settings.steps == 1:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, kept[1]))
    try:
        return train(given, settings)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, kept)

recipes.stages.prune.run, recipes.stages.train.run = broken, full
main()
"""
BROKEN = "RuntimeError: a variable needed for gradient computation was modified"


@pytest.fixture(scope="module")
def failed(python_in: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a run went through all that."""
    folder = recipe(tmp_path_factory.mktemp("failed"), VARIANTS, **EXECUTORCH)
    done = python_in(folder, "-c", FAULTY, "run", "tiny.yaml")
    assert done.returncode == 1, done.stderr
    (folder / "out.txt").write_text(done.stdout)
    (folder / "err.txt").write_text(done.stderr)
    return folder


def test_a_report_tells_of_all_variants_whatever_they_failed_of(failed: Path) -> None:
    rows = {row.name: row for row in report_of(failed).variants}
    assert list(rows) == list(VARIANTS)
    assert {name for name, row in rows.items() if row.status == "done"} == {"unexported", "int8"}
    assert "got bfloat16" in rows["unexported"].missing["executorch file"]
    assert rows["unexported"].metrics["psnr_db"].value is not None
    assert rows["pruned"].error == rows["pruned-fp16"].error == BROKEN
    assert "checkpoint.pt must be of a size that its disk and your limits allow" in str(rows["full"].error)
    assert rows["int8"].metrics["file_mb"].value is not None
    printed = (failed / "out.txt").read_text()
    for view in (printed, *((failed / f"runs/tiny/report.{kind}").read_text() for kind in ("html", "md"))):
        assert BROKEN in view
        assert "checkpoint.pt must be of a size" in view
    assert (failed / "runs/tiny/variants/int8/int8.pte").exists()


def test_a_traceback_is_kept_and_the_console_names_where(failed: Path) -> None:
    kept = failed / "runs/tiny/variants/pruned/traceback.txt"
    assert kept.read_text().startswith("Traceback (most recent call last)")
    assert "Hint: enable anomaly detection" in kept.read_text()
    told = (failed / "err.txt").read_text()
    assert f"pruned: FAILED {BROKEN}\n" in told
    assert "pruned: its traceback is in runs/tiny/variants/pruned/traceback.txt\n" in told
    assert "Traceback" not in told
    events = [json.loads(line) for line in (failed / "runs/tiny/log.jsonl").read_text().splitlines()]
    assert [e["error"] for e in events if e["event"] == "failed" and e["variant"] == "pruned"] == [BROKEN]
    assert events[-1]["event"] == "end"


def test_what_failed_once_is_not_tried_again_for_those_that_share_it(failed: Path) -> None:
    assert (failed / "out.txt").read_text().count("pruning\n") == 1
    assert not (failed / "runs/tiny/variants/pruned-fp16/traceback.txt").exists()


def test_a_failed_write_leaves_nothing_behind(failed: Path) -> None:
    left = [path.name for path in (failed / "runs").rglob("*") if path.name.endswith(".making") or ".part" in path.name]
    assert left == []


def test_the_same_command_goes_on_after_a_full_disk(lightsharp: Run, failed: Path) -> None:
    done = lightsharp(failed, "run", "tiny.yaml")
    assert done.returncode == 0, done.stderr
    assert [row.status for row in report_of(failed).variants] == ["done"] * 5
    assert "teacher: taking finished train" in done.stderr
    assert "int8: taking finished quantize" in done.stderr
    assert "full: doing train" in done.stderr


def test_where_all_variants_fail_there_is_a_report_too(lightsharp: Run, python_in: Run, tmp_path: Path) -> None:
    folder = recipe(tmp_path, {"pruned": VARIANTS["pruned"]})
    crashed = python_in(folder, "-c", FAULTY, "run", "tiny.yaml")
    assert crashed.returncode == 1, crashed.stderr
    assert f"pruned failed: {BROKEN}" in crashed.stdout
    report = report_of(folder)
    assert report.teacher.metrics["params"].value is not None
    assert "all 1 variants failed" in str(report.teacher.metrics["psnr_db"].missing)
    wrong = lightsharp(folder, "run", "tiny.yaml", "--set", "variants.pruned.0.prune.params_cut=0.0001")
    assert wrong.returncode == 2
    assert "error: at least one variant must be made; all 1 variants failed" in wrong.stderr
    assert "remove at least one channel" in str(report_of(folder).variants[0].error)
