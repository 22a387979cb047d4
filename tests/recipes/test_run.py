import json
from pathlib import Path
from typing import Any

import pytest
from tiny_runs import MEASURE, SMALL, Run, recipe, report_of

from compress.arithmetic import arithmetic_text
from reports.record import Report

CHAINS: dict[str, list[dict[str, Any]]] = {
    "pruned": [{"prune": {"params_cut": 0.3}}, {"train": {"steps": 6, "checkpoint_every": 2, **SMALL}}],
    "pruned-int8": [{"from": "pruned"}, {"quantize": {"scheme": "int8", "crops": 2, "crop": 64}}],
}

# The command line, killed right after it wrote a checkpoint, the first of all or the second or ...
KILLED = """
import os, signal, sys
from baseline.training_state import TrainingState
from recipes.cli import main

save = TrainingState.save
saves = 0
last = int(sys.argv.pop(1))

def save_and_die(state):
    global saves
    save(state)
    saves += 1
    if saves == last:
        os.kill(os.getpid(), signal.SIGKILL)

TrainingState.save = save_and_die
sys.argv = ["lightsharp", *sys.argv[1:]]
main()
"""


def log_of(folder: Path, run: str = "runs/tiny") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / run / "log.jsonl").read_text().splitlines()]


def stage_keys(folder: Path) -> dict[tuple[str, str], str]:
    return {(e["variant"], e["stage"]): e["key"] for e in log_of(folder) if e["event"] == "done"}


def numbers(report: Report) -> dict[str, Any]:
    """What a report says, without times."""
    rows = {}
    for row in [report.teacher, *report.variants]:
        metrics = {key: (m.value, m.ci95) for key, m in row.metrics.items()}
        rows[row.name] = (row.chain, metrics, row.pictures, row.effort.steps, row.effort.pictures, row.status)
    return rows


def untimed(report: Report) -> dict[str, Any]:
    """All of a report but latencies: noisy ones are taken again."""
    return report.model_dump(exclude={"teacher": {"latency"}, "variants": {"__all__": {"latency"}}})


@pytest.fixture(scope="module")
def finished(lightsharp: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the recipe has run. Its run is not changed by the tests."""
    folder = recipe(tmp_path_factory.mktemp("finished"), CHAINS)
    done = lightsharp(folder, "run", "tiny.yaml")
    assert done.returncode == 0, done.stderr
    (folder / "out.txt").write_text(done.stdout)
    return folder


def test_a_run_prints_its_table_and_leaves_a_report(finished: Path) -> None:
    printed = (finished / "out.txt").read_text()
    assert all(name in printed for name in ("teacher", "pruned", "pruned-int8"))
    assert "report: runs/tiny/report.html" in printed
    files = {path.name for path in (finished / "runs/tiny").iterdir()}
    assert files >= {"recipe.yaml", "environment.json", "log.jsonl", "variants", "pictures"}
    assert files >= {f"report.{kind}" for kind in ("html", "md", "csv", "json")}
    assert not [path for path in (finished / "runs").rglob("*") if path.name.endswith((".making", ".scratch", ".part"))]


def test_the_report_holds_what_was_made(finished: Path) -> None:
    report = report_of(finished)
    teacher, (pruned, quantized) = report.teacher, report.variants
    cut = 1 - pruned.metrics["params"].value / teacher.metrics["params"].value
    assert cut == pytest.approx(0.3, abs=0.05)
    assert quantized.metrics["params"].value == pruned.metrics["params"].value
    assert (
        quantized.metrics["weights_mb"].value < pruned.metrics["weights_mb"].value < teacher.metrics["weights_mb"].value
    )
    assert [row.dtype for v in (teacher, pruned, quantized) for row in v.latency] == ["fp32", "fp32", "int8"]
    assert all(row.median_ms and row.file is None for v in (teacher, pruned, quantized) for row in v.latency)
    assert (pruned.effort.steps, pruned.effort.pictures) == (6, 12)
    assert (quantized.effort.steps, quantized.effort.pictures) == (6, 14)
    assert [len(v.pictures) for v in (teacher, pruned, quantized)] == [2, 2, 2]
    for key in ("psnr_db", "ssim", "lpips", "edge_sharpness"):
        mean = sum(getattr(picture, key) for picture in pruned.pictures) / 2
        assert pruned.metrics[key].value == pytest.approx(mean, abs=1e-9)
        assert getattr(report.run, f"blurred_{key}") is not None
    for row in (pruned, quantized):
        losses = [t.psnr_db - p.psnr_db for t, p in zip(teacher.pictures, row.pictures, strict=True)]
        assert row.metrics["psnr_loss_db"].value == pytest.approx(sum(losses) / 2, abs=1e-9)
    assert "no runtime with files was asked for" in str(teacher.metrics["file_mb"].missing)
    record = json.loads((finished / "runs/tiny/variants/pruned/record.json").read_text())
    assert record == pruned.model_dump(mode="json")


def test_an_artifact_of_a_run_can_be_used(lightsharp: Run, finished: Path) -> None:
    done = lightsharp(
        finished, "measure", "runs/tiny/variants/pruned/artifact", "--runtime", "eager", "--size", "64x64", "--json"
    )
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)
    assert (row["runtime"], row["dtype"], row["size"]) == ("eager", "fp32", [64, 64])
    assert row["p10_ms"] <= row["median_ms"] <= row["p90_ms"]


def test_a_second_run_takes_what_is_finished(lightsharp: Run, finished: Path) -> None:
    before = report_of(finished)
    events = len(log_of(finished))
    done = lightsharp(finished, "run", "tiny.yaml")
    assert done.returncode == 0, done.stderr
    assert "doing" not in done.stderr
    assert done.stderr.count("taking finished") == 1 + 2 + 3  # the teacher, and both chains whole
    assert not [e for e in log_of(finished)[events:] if e["event"] == "start"]
    assert untimed(report_of(finished)) == untimed(before)


def test_a_killed_run_ends_as_one_that_was_not(lightsharp: Run, python_in: Run, finished: Path, tmp_path: Path) -> None:
    folder = recipe(tmp_path, CHAINS)
    killed = python_in(folder, "-c", KILLED, "3", "run", "tiny.yaml")  # the teacher's only one, and two of the variant
    assert killed.returncode == -9
    assert not (folder / "runs/tiny/report.json").exists()
    started = [e["stage"] for e in log_of(folder) if e["event"] == "start"]
    assert [stage.split()[0] for stage in started] == ["train", "prune", "train"]
    assert len(list((folder / "runs/.store").glob("*.scratch/checkpoint.pt"))) == 1
    reported = lightsharp(folder, "report", "runs/tiny")
    assert reported.returncode == 0, reported.stderr
    assert "type: lightsharp run runs/tiny/recipe.yaml --out runs/tiny\n" in reported.stderr
    left, whole = report_of(folder), report_of(finished)
    for key in ("params", "macs", "weights_mb"):
        assert left.teacher.metrics[key] == whole.teacher.metrics[key]
    assert left.teacher.metrics["psnr_db"].missing == "the run ended before it was scored and timed"
    assert left.teacher.effort.steps == whole.teacher.effort.steps
    assert [variant.status for variant in left.variants] == ["failed", "failed"]
    assert str(left.variants[0].error).endswith(
        "the run ended, and 'train steps 6, batch 2, crop 32, workers 0, checkpoint_every 2' was not finished"
    )
    done = lightsharp(folder, "run", "runs/tiny/recipe.yaml", "--out", "runs/tiny")
    assert done.returncode == 0, done.stderr
    assert report_of(folder).run.name == "tiny"
    assert stage_keys(folder) == stage_keys(finished)
    assert numbers(report_of(folder)) == numbers(report_of(finished))
    assert not list((folder / "runs/.store").glob("*.scratch"))


def test_a_run_that_was_killed_in_its_first_training_is_reported(
    lightsharp: Run, python_in: Run, finished: Path, tmp_path: Path
) -> None:
    folder = recipe(tmp_path, CHAINS)
    assert python_in(folder, "-c", KILLED, "1", "run", "tiny.yaml").returncode == -9
    done = lightsharp(folder, "report", "runs/tiny")
    assert done.returncode == 0, done.stderr
    assert "failed or without a record: teacher, pruned, pruned-int8\n" in done.stderr
    assert "teacher failed: there is no record of it: the run ended, and 'train steps 2, " in done.stdout
    assert "pruned failed: there is no record of it: the run ended, and 'prune params_cut 0.3' was not" in done.stdout
    recommended = lightsharp(folder, "recommend", "runs/tiny", "--max-latency-ms", "5")
    assert recommended.returncode == 1
    assert "no variant was timed, and what no runtime ran is not recommended: teacher failed" in recommended.stdout
    both = lightsharp(folder, "report", "runs/tiny", str(finished / "runs/tiny"), "--out", "both")
    assert both.returncode == 2
    assert "runs/tiny must have scored its teacher to be set beside other runs; it was stopped before" in both.stderr


def test_reports_are_written_again_and_checked(lightsharp: Run, finished: Path) -> None:
    before = (finished / "runs/tiny/report.html").read_bytes()
    assert lightsharp(finished, "report", "runs/tiny").returncode == 0
    assert (finished / "runs/tiny/report.html").read_bytes() == before
    done = lightsharp(finished, "check", "runs/tiny")
    assert (done.returncode, done.stdout) == (0, "nothing was checked: the run's recipe expects no numbers\n")


def test_gates_and_failures_are_marked_and_do_not_stop_the_rest(lightsharp: Run, tmp_path: Path) -> None:
    variants = {
        "broken": [{"prune": {"ratio": 0.001}}],
        "fp16": [{"quantize": {"scheme": "fp16"}}],
    }
    parts = {"gates": {"max_psnr_loss_db": 0.5}, "notes": {"fp16": "half the bytes"}}
    folder = recipe(tmp_path, variants, **parts, expect={"fp16": {"params_cut": [0.1, 0.2]}})
    done = lightsharp(folder, "run", "tiny.yaml", "--out", "first")
    assert done.returncode == 1, done.stderr
    broken, half = report_of(folder, "first").variants
    assert (broken.status, half.status) == ("failed", "done")
    assert "pruning must remove at least one channel" in str(broken.error)
    assert "broken: FAILED" in done.stderr
    assert half.note == "half the bytes"
    assert "fp16: half the bytes" in done.stdout
    assert [g.passed for g in half.gates] == [True]
    assert [(g.passed, g.reason) for g in broken.gates] == [(None, "not measured")]

    done = lightsharp(
        folder,
        "run",
        "tiny.yaml",
        "--out",
        "first",
        "--set",
        "gates.max_psnr_loss_db=-50",
        "--set",
        "gates.max_file_mb=1",
    )
    assert done.returncode == 1
    verdicts = {g.gate: g for g in report_of(folder, "first").variants[1].gates}
    assert verdicts["max_psnr_loss_db"].passed is False
    assert (verdicts["max_file_mb"].passed, verdicts["max_file_mb"].reason) == (None, "not measured")
    done = lightsharp(folder, "check", "first")
    assert done.returncode == 1
    assert "fp16: params_cut must lie in 0.1 to 0.2; it is 0" in done.stdout


def test_deployables_are_proved_timed_and_scored_on_one_runtime(lightsharp: Run, tmp_path: Path) -> None:
    variants = {
        "int8": [{"quantize": {"scheme": "int8", "crops": 2, "crop": 64}}],
        "bf16": [{"quantize": {"scheme": "bf16"}}],
    }
    runtimes = ["executorch", "openvino"]
    folder = recipe(tmp_path, variants, measure=MEASURE | {"runtimes": runtimes}, gates={"max_file_mb": 5})
    done = lightsharp(folder, "run", "tiny.yaml")
    assert done.returncode == 0, done.stderr
    report = report_of(folder)
    by_name = {row.name: row for row in (report.teacher, *report.variants)}
    for row in (by_name["teacher"], by_name["int8"]):
        files = {"executorch": [f"{row.name}.pte"], "openvino": [f"{row.name}.xml", f"{row.name}.bin"]}
        fastest = next(r.runtime for r in row.latency if r.fastest)
        assert fastest == min(row.latency, key=lambda r: r.median_ms).runtime
        assert "scored as its openvino file" in row.metrics["psnr_db"].conditions  # the one that all three have
        links = [folder / "runs/tiny/variants" / row.name / name for name in files["openvino"]]
        assert row.metrics["file_mb"].value == pytest.approx(sum(link.stat().st_size for link in links) / 1e6)
        proofs = {d["stage"]: d["agreement"] for d in row.details if d["stage"].startswith("export: ")}
        assert set(proofs) == {"export: executorch", "export: openvino"}
        assert all(len(agreement) == 3 for agreement in proofs.values())
        of_float = {d["stage"]: d["float_agreement"] for d in row.details if d["stage"].startswith("export: ")}
        assert (of_float == proofs) is (row.name == "teacher")
        assert all(one["psnr_db"] > 20 for agreement in of_float.values() for one in agreement)
    refused = by_name["bf16"].missing["executorch file"]
    assert "got bfloat16" in refused
    assert [r.missing for r in by_name["bf16"].latency if r.runtime == "executorch"] == [refused]
    exported = next(d for d in by_name["bf16"].details if d["stage"] == "export: openvino")
    assert exported["built_for"]["precision"] == arithmetic_text("bf16", "cpu")
    scored = lightsharp(folder, "measure", "runs/tiny/variants/int8/int8.xml", "--size", "64x64", "--json")
    assert json.loads(scored.stdout)[0]["runtime"] == "openvino"


def test_without_a_compiler_the_record_says_why(lightsharp: Run, tmp_path: Path) -> None:
    variants = {"fp16": [{"quantize": {"scheme": "fp16"}}]}
    folder = recipe(tmp_path, variants, measure=MEASURE | {"runtimes": ["aoti"]})
    done = lightsharp(folder, "run", "tiny.yaml", CXX="/nonexistent/g++")
    assert done.returncode == 0, done.stderr
    reason = "no C++ compiler (/nonexistent/g++) here; install one: apt-get install g++"
    for row in (report_of(folder).teacher, *report_of(folder).variants):
        assert row.metrics["file_mb"].missing == reason
        assert row.missing["aoti file"] == reason
        assert [r.missing for r in row.latency] == [reason]
        assert row.metrics["psnr_db"].value is not None
    assert "/nonexistent/g++" in (folder / "runs/tiny/report.html").read_text()


@pytest.mark.parametrize(
    ("out", "said"),
    [("file/run", "must be a folder that can be written"), ("full", "must be empty or a run's folder")],
)
def test_a_folder_that_cannot_be_a_run_is_refused_before_any_work(
    lightsharp: Run, tmp_path: Path, out: str, said: str
) -> None:
    folder = recipe(tmp_path, CHAINS)
    (folder / "file").write_text("")
    (folder / "full").mkdir()
    (folder / "full/thesis.doc").write_text("mine")
    done = lightsharp(folder, "run", "tiny.yaml", "--out", out)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert [path.name for path in (folder / "full").iterdir()] == ["thesis.doc"]


def test_distillation_of_every_kind_leaves_what_was_done_in_the_record(lightsharp: Run, tmp_path: Path) -> None:
    student = {"student": "mimo-unet-branched", "arguments": {"width": 8, "num_blocks": 1}}
    taught = {"features_weight": 0.3, "crop_set": 2, **SMALL}
    aware = {"scheme": "int8-qat", "crops": 2, "crop": 64, "train": {"steps": 3, "crop_set": 2, **SMALL}}
    variants = {
        "branched": [{"distill": {"steps": 3, "warm_start": True, **student, **taught}}],
        "branched-int8": [{"from": "branched"}, {"quantize": aware}],
        "pruned": [{"prune": {"ratio": 0.3}}, {"distill": {"steps": 1, "features": {"down.0": "down.0"}, **taught}}],
    }
    folder = recipe(tmp_path, variants)
    done = lightsharp(folder, "run", "tiny.yaml")
    assert done.returncode == 0, done.stderr
    branched, quantized, pruned = report_of(folder).variants
    (stage,) = branched.details
    assert stage["warm_start"]["anew"] == {}
    assert stage["features"] == {f"decoder.{i}": f"decoder.{i}" for i in range(3)}
    assert {"l1", "frequency", "teacher_l1", "teacher_frequency", "teacher_features"} <= set(stage["curve"][0])
    said = "the teacher's lessons: 4 of 6 crops (67%) from the cache, "
    assert stage["lessons"].startswith(said)
    assert said in done.stderr
    # What is kept, counted and exported has no branches.
    assert 0 <= stage["folded"]["largest_difference"] < 1e-5
    assert stage["folded"]["training_params"] > branched.metrics["params"].value
    manifest = json.loads((folder / "runs/tiny/variants/branched/artifact/model.json").read_text())
    assert manifest["arguments"]["conv"] == "plain"
    assert "lessons" in quantized.details[-1]
    assert pruned.details[-1]["features"] == {"down.0": "down.0"}
    assert report_of(folder).teacher.metrics["params"].value == branched.metrics["params"].value


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        ({"features_weight": 1, "features": {"decoder.7": "head"}}, "no layer 'decoder.7'. Did you mean 'decoder."),
        ({"features_weight": 1, "features": {"head": "haed"}}, "no layer 'haed'. Did you mean 'head'?"),
    ],
)
def test_layers_that_are_not_there_are_named_before_anything_is_done(
    lightsharp: Run, tmp_path: Path, stage: dict[str, Any], said: str
) -> None:
    folder = recipe(tmp_path, {"a": [{"distill": {"student": "mimo-unet-ds", "steps": 1, **stage, **SMALL}}]})
    done = lightsharp(folder, "run", "tiny.yaml")
    assert done.returncode == 2
    assert f"variants.a: {said}" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (folder / "runs/tiny/report.json").exists()


def test_stages_are_applied_without_a_recipe_and_measured_as_asked(lightsharp: Run, finished: Path) -> None:
    teacher = str(finished / "runs/tiny/variants/teacher/artifact")
    asked = [part for key, value in MEASURE.items() for part in ("--set", f"measure.{key}={json.dumps(value)}")]
    done = lightsharp(finished, "apply", teacher, "prune: {params_cut: 0.3}", *asked, "--out", "runs/applied")
    assert done.returncode == 0, done.stderr
    report = report_of(finished, "runs/applied")
    assert [row.name for row in report.variants] == ["applied"]
    assert {row.runtime for row in report.variants[0].latency} == {"eager"}
    wrong = lightsharp(
        finished, "apply", teacher, "prune: {params_cut: 0.3}", "--set", "measure.x=1", "--out", "runs/x"
    )
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
