"""report, diff and schema on the command line, on real records and copies of them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recipes.schema import recipe_path
from reports.record import Report
from reports.write import write_report
from tests.reports.picture_files import write_picture
from tests.reports.records import DEMO, GPU, on_gpu, shipped, variant_of

Cli = Callable[..., Any]


@pytest.fixture
def demo() -> Report:
    return shipped("demo")


@pytest.fixture
def runs(tmp_path: Path, demo: Report) -> Path:
    """demo, the same on a GPU's machine, and edge, as their reports alone."""
    for name, report in (("demo", demo), ("gpu", on_gpu(demo)), ("edge", shipped("edge"))):
        write_report(report, tmp_path / "runs" / name)
    return tmp_path / "runs"


def killed(folder: Path, report: Report, *names: str) -> Path:
    """What a run leaves that was killed after it wrote the records of these variants."""
    rows = [report.teacher, *(variant_of(report, name) for name in names)]
    for row in rows:
        path = folder / "variants" / row.name / "record.json"
        path.parent.mkdir(parents=True)
        path.write_text(row.model_dump_json())
    shutil.copyfile(recipe_path("demo"), folder / "recipe.yaml")
    (folder / "environment.json").write_text(json.dumps(report.run.environment))
    events = [{"event": "begin"}, {"event": "start", "variant": "int8", "stage": "quantize scheme int8"}]
    lines = [json.dumps({"time": "2026-01-01T00:00:00+00:00", "key": "k"} | event) for event in events]
    (folder / "log.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def test_runs_of_two_machines_become_one_report(cli: Cli, runs: Path, demo: Report) -> None:
    picture = demo.run.sample_pictures[0]
    write_picture(runs / "gpu/pictures", picture, "int8")
    done = cli("report", "runs/demo", "runs/gpu", "--out", "both")
    assert done.returncode == 0, done.stderr
    assert "report: both/report.html" in done.stdout
    assert f"latency_median_ms (tensorrt, cuda, {GPU})" in (runs.parent / "both/report.csv").read_text()
    assert (runs.parent / "both/pictures" / picture / "int8.webp").is_file()
    assert "both" not in {path.name for path in runs.iterdir()}
    again = cli("report", "runs/demo", "runs/gpu", "runs/edge", "--out", "both")
    assert again.returncode == 0, again.stderr
    assert "edge-int8-qat" in again.stdout


def test_one_run_is_written_where_it_lies_or_elsewhere(cli: Cli, runs: Path) -> None:
    (runs / "demo/report.html").unlink()
    done = cli("report", "runs/demo", "--out", "elsewhere")
    assert done.returncode == 0, done.stderr
    assert not (runs / "demo/report.html").exists()
    assert (runs.parent / "elsewhere/report.json").read_bytes() == (runs / "demo/report.json").read_bytes()
    assert cli("report", "runs/demo").returncode == 0
    assert (runs / "demo/report.html").exists()


def test_a_record_is_not_written_again(cli: Cli, runs: Path, demo: Report) -> None:
    record = runs / "demo/report.json"
    shutil.copyfile(DEMO, record)  # of an older version: written now, it would differ
    for name in ("report.md", "report.csv", "report.tex", "report.html"):
        (runs / "demo" / name).unlink()
    before = record.read_bytes()
    assert cli("report", "runs/demo").returncode == 0
    assert record.read_bytes() == before
    assert {path.suffix for path in (runs / "demo").glob("report.*")} == {".json", ".md", ".csv", ".tex", ".html"}


def test_a_record_that_cannot_be_told_apart_or_read_is_refused_with_what_works(
    cli: Cli, runs: Path, demo: Report
) -> None:
    demo.variants[1].name = demo.variants[0].name
    write_report(demo, runs / "twice")
    done = cli("report", "runs/twice")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "must give every variant a name of its own; 'pruned-30' is that of several." in done.stderr
    (runs / "twice/report.json").write_text("{")
    shutil.copyfile(recipe_path("demo"), runs / "twice/recipe.yaml")
    done = cli("report", "runs/twice")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    advice = done.stderr.strip().rpartition("Type: lightsharp ")[2]
    assert advice == "run runs/twice/recipe.yaml --out runs/twice"
    assert cli("validate", advice.split()[1]).returncode == 0


def test_what_a_run_lacks_is_said(cli: Cli, runs: Path) -> None:
    done = cli("report", "runs/demo")
    assert done.returncode == 0
    assert done.stderr == "not in runs/demo: variants/, pictures/\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("report runs/demo runs/gpu", "Type: lightsharp report runs/demo runs/gpu --out runs/merged"),
        (
            "report runs/dmeo",
            "runs/dmeo must be a run's folder with report.json; there is none. Did you mean",
        ),
        (
            "report zzz",
            "zzz must be a run's folder with report.json; there is none. Runs here: runs/demo, runs/edge, runs/gpu",
        ),
        ("report edeg", "Did you mean runs/edge?"),
        ("report runs", "there is none. Runs here: runs/demo, runs/edge, runs/gpu, runs/other, runs/stopped"),
        ("report stoped", "Did you mean runs/stopped?"),
        ("report students", "there is none. Type: lightsharp run students --out students"),
        ("report runs/prunning", "Did you mean the recipe pruning? Type: lightsharp run pruning"),
        ("watch zzz", "zzz must be a run's folder with recipe.yaml; there is none. Runs here: runs/stopped"),
        (
            "watch runs/edge --once",
            "runs/edge must be a run's folder with recipe.yaml; it holds a finished report alone, of which there is "
            "nothing to watch. Type: lightsharp report runs/edge",
        ),
        ("check runs/edge", "a finished report alone, and not what is expected of it. Type: lightsharp report"),
        ("check demo", "demo must be a run's folder with recipe.yaml; there is none. Type: lightsharp run demo --out"),
        ("report runs/demo/report.json", "there is none. Did you mean runs/demo?"),
        ("recommend mine.yaml --max-size-mb 5", "there is none. It is a recipe. Type: lightsharp run mine.yaml"),
        ("watch edge.yaml", "there is none. It is a recipe. Type: lightsharp run edge.yaml"),  # of its run, a report
        ("recommend edge.yaml --max-size-mb 5", "there is none. It is a recipe. Its run is runs/edge."),
        ("report notes.txt", "there is none. It is a file."),
        ("report runs/demo runs/../runs/demo --out x", "the runs must be different; "),
        ("report runs/demo runs/gpu --out runs", "runs must be empty or a report's folder; it holds other things."),
        ("report runs/demo runs/gpu --out runs/edge", "runs/edge must not hold another report; it has that of edge."),
        ("report runs/demo runs/gpu --out started", "started must not be a run's folder; it is, and stays as it was."),
        ("report runs/demo runs/other --out x", "must have the same data set; demo has photos, other has gopro."),
        ("report", "Missing argument 'RUN...'"),
        ("diff runs/demo", "Missing argument 'NEW'"),
        ("diff runs/demo runs/gpuu", "Did you mean runs/gpu?"),
        ("diff runs/demo runs/gpu --format yaml", "'yaml' is not one of 'table', 'json'"),
        ("dif runs/demo runs/gpu", "no command 'dif'. Did you mean 'diff'?"),
        ("schema reprot", "'reprot' is not one of"),
    ],
)
def test_a_mistake_is_told_with_exit_code_2(cli: Cli, runs: Path, demo: Report, arguments: str, said: str) -> None:
    demo.run.data = "gopro"
    write_report(demo, runs / "other")
    for folder in (runs.parent / "started", runs / "stopped"):
        folder.mkdir()
        (folder / "recipe.yaml").write_text("")
    for name in ("mine.yaml", "edge.yaml", "notes.txt"):
        (runs.parent / name).write_text("")
    before = (runs / "edge/report.json").read_bytes()
    done = cli(*arguments.split())
    assert done.returncode == 2, done.stdout
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (runs.parent / "x").exists()
    assert (runs / "edge/report.json").read_bytes() == before


def test_where_nothing_was_run_yet_the_recipes_are_named(cli: Cli) -> None:
    done = cli("report", "zzz")
    assert done.returncode == 2
    assert "There are no runs here yet. Type lightsharp run and one of: demo, edge, " in done.stderr


def test_a_report_without_variants_is_told(cli: Cli, runs: Path, demo: Report) -> None:
    demo.variants = []
    write_report(demo, runs / "demo")
    done = cli("report", "runs/demo")
    assert done.returncode == 0
    assert "demo has no variants: its report.json names none, and the table is the teacher's alone\n" in done.stderr


def test_runs_of_one_name_are_told_apart_by_their_folders(cli: Cli, runs: Path) -> None:
    shutil.copytree(runs / "gpu", runs.parent / "there/demo")
    done = cli("report", "runs/demo", "there/demo", "--out", "both")
    assert done.returncode == 0, done.stderr
    assert json.loads((runs.parent / "both/report.json").read_text())["run"]["name"] == "runs-demo + there-demo"


def test_a_run_that_was_killed_is_reported(cli: Cli, runs: Path, demo: Report) -> None:
    folder = killed(runs / "killed", demo, "pruned-30", "fp16")
    half = folder / "variants/fp16/record.json"
    half.write_text(half.read_text()[:1000])
    done = cli("report", "runs/killed")
    assert done.returncode == 0, done.stderr
    assert "fp16 failed: its record cannot be read (Invalid JSON" in done.stdout
    assert "int8 failed: there is no record of it: the run ended, and 'quantize scheme int8'" in done.stdout
    assert "failed or without a record: pruned-50, distilled, ds-distilled, fp16, int8, pruned-50-int8" in done.stderr
    # Once more records are there, they are in the report, which was not the run's own.
    half.write_text(variant_of(demo, "fp16").model_dump_json())
    assert "fp16 failed" not in cli("report", "runs/killed").stdout
    shutil.rmtree(folder / "variants/teacher")
    done = cli("report", "runs/killed")
    assert done.returncode == 0, done.stderr
    assert "failed or without a record: teacher, pruned-50, " in done.stderr
    assert "type: lightsharp run runs/killed/recipe.yaml --out runs/killed" in done.stderr


def test_diff_says_what_changed_and_fails_only_if_asked(cli: Cli, runs: Path, demo: Report) -> None:
    for picture in variant_of(demo, "int8").pictures:
        picture.psnr_db -= 0.5
    write_report(demo, runs / "worse")
    done = cli("diff", "runs/demo", "runs/worse")
    assert done.returncode == 0, done.stderr
    assert "From demo to worse: 3 numbers changed for the worse beyond noise" in done.stdout
    assert cli("diff", "runs/demo", "runs/worse", "--fail-on-change").returncode == 1
    assert cli("diff", "runs/worse", "runs/demo", "--fail-on-change").returncode == 0
    texts = [cli("diff", "runs/demo", "runs/worse", *asked).stdout for asked in (["--json"], ["--format", "json"])]
    assert texts[0] == texts[1]
    worse = [one["what"] for one in json.loads(texts[0])["numbers"] if one["verdict"] == "worse"]
    assert worse == ["psnr_db", "psnr_loss_db", "gain_kept"]


def test_the_schemas_are_printed(cli: Cli) -> None:
    assert json.loads(cli("schema", "report").stdout) == Report.model_json_schema()
    assert json.loads(cli("schema", "diff").stdout)["title"] == "Difference"
    assert "variants" in json.loads(cli("schema").stdout)["properties"]
    assert DEMO.is_file()
