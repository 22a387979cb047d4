import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recipes.schema import recipe_path
from tests.reports.records import DEMO

Cli = Callable[..., Any]


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    """A run's folder with a real report and no other file."""
    folder = tmp_path / "runs/demo"
    folder.mkdir(parents=True)
    shutil.copy(DEMO, folder)
    return folder


def with_runtime(folder: Path, runtime: str) -> None:
    """Make the report one of another runtime, without sizes of its files."""
    report = json.loads((folder / "report.json").read_text())
    for variant in (report["teacher"], *report["variants"]):
        variant["latency"][0]["runtime"] = runtime
    (folder / "report.json").write_text(json.dumps(report))


def test_it_recommends_and_prints_the_same_plain_text_again(cli: Cli, demo: Path) -> None:
    asked = ("recommend", "runs/demo", "--max-latency-ms", "30", "--max-psnr-loss-db", "0.1")
    done = cli(*asked)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines[3:10]] == [
        *("fp16", "int8", "teacher", "pruned-30"),
        *("pruned-50-int8", "pruned-50", "ds-distilled"),
    ]
    assert lines[4].split() == ["int8", "aoti,", "cpu", "✓", "23.28", "1.71", "✓", "0.05", "[0.01,", "0.12]"]
    assert lines[5].split() == ["teacher", "aoti,", "cpu", "✗", "59.32", "4.16", "✓", "0.00"]
    assert lines[-3:] == [
        "Take fp16 on aoti, cpu: 19.32 ms (fp16, 2 threads, 256x256), file size 2.32 MB, "
        "PSNR loss 0.00 [0.00, 0.00] dB.",
        "File: not in runs/demo, which is a report alone; its run was made, elsewhere, by: lightsharp run demo",
        "Timed on Intel(R) Xeon(R) Processor; milliseconds hold for that machine.",
    ]
    assert "\x1b" not in done.stdout
    assert cli(*asked).stdout == done.stdout


def test_of_a_run_that_did_not_end_it_is_said(cli: Cli, demo: Path) -> None:
    report = json.loads((demo / "report.json").read_text())
    for variant in (report["teacher"], report["variants"][4]):
        record = demo / "variants" / variant["name"] / "record.json"
        record.parent.mkdir(parents=True)
        record.write_text(json.dumps(variant))
    (demo / "report.json").unlink()
    done = cli("recommend", "runs/demo", "--max-latency-ms", "30")
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("Recovered from the records of single variants: the run did not end")
    assert "Take int8 on aoti" in done.stdout


def test_the_file_to_take_is_named_if_it_is_there(cli: Cli, demo: Path) -> None:
    (demo / "variants/fp16").mkdir(parents=True)
    (demo / "variants/fp16/fp16.pt2").write_bytes(b"x" * 1000)
    done = cli("recommend", "runs/demo", "--max-latency-ms", "30", "--json")
    assert done.returncode == 0, done.stderr
    best = json.loads(done.stdout)["recommended"]
    assert (best["variant"], best["file"]) == ("fp16", "runs/demo/variants/fp16/fp16.pt2")
    assert best["size_mb"] == pytest.approx(2.31871)  # that of the record


def test_what_makes_a_file_that_is_gone_is_a_run_into_the_same_folder(cli: Cli, demo: Path) -> None:
    (demo / "recipe.yaml").write_text(recipe_path("demo").read_text())
    done = cli("recommend", "runs/demo", "--max-latency-ms", "30")
    assert "File: not in runs/demo. Type: lightsharp run runs/demo/recipe.yaml --out runs/demo\n" in done.stdout


def test_a_size_that_the_record_lacks_is_that_of_all_files_on_disk(cli: Cli, demo: Path) -> None:
    with_runtime(demo, "openvino")
    asked = ("recommend", "runs/demo", "--max-size-mb", "0.01", "--json")
    (demo / "variants/int8").mkdir(parents=True)
    (demo / "variants/int8/int8.xml").write_bytes(b"x" * 1000)
    done = cli(*asked)
    assert done.returncode == 1, done.stderr  # without its .bin it is no deployable
    reason = "the record has no size of its openvino file, and the run's folder has no such file"
    assert {c["missing"]["size_mb"] for c in json.loads(done.stdout)["candidates"]} == {reason}
    (demo / "variants/int8/int8.bin").write_bytes(b"x" * 3000)
    done = cli(*asked)
    assert done.returncode == 0, done.stderr
    best = json.loads(done.stdout)["recommended"]
    assert (best["variant"], best["size_mb"]) == ("int8", 0.004)
    assert best["file"] == "runs/demo/variants/int8/int8.xml"


def test_in_memory_the_artifact_is_to_be_taken(cli: Cli, demo: Path) -> None:
    with_runtime(demo, "eager")
    (demo / "variants/fp16/artifact").mkdir(parents=True)
    done = cli("recommend", "runs/demo", "--max-latency-ms", "20", "--json")
    assert json.loads(done.stdout)["recommended"]["file"] == "runs/demo/variants/fp16/artifact"


def test_where_nothing_keeps_the_limits_it_says_so_with_exit_code_1(cli: Cli, demo: Path) -> None:
    done = cli("recommend", "runs/demo", "--max-latency-ms", "5")
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == (
        "--max-latency-ms 5: nothing meets it; the fastest is fp16 on aoti, cpu, with 19.3 ms, 14.3 ms too slow"
    )
    assert done.stderr == ""


def test_of_several_runtimes_the_table_has_each_variant_once(cli: Cli, demo: Path) -> None:
    report = json.loads((demo / "report.json").read_text())
    int8 = report["variants"][4]
    assert int8["name"] == "int8"
    int8["latency"].append(int8["latency"][0] | {"runtime": "openvino", "median_ms": 9.0})
    report["variants"][0] |= {"status": "failed", "error": "out of memory", "latency": []}
    (demo / "report.json").write_text(json.dumps(report))
    done = cli("recommend", "runs/demo", "--max-latency-ms", "10")
    assert done.returncode == 0, done.stderr
    rows = [line.split()[:3] for line in done.stdout.splitlines()[3:9]]
    assert rows[0] == ["int8", "openvino,", "cpu"]
    assert [name for name, _, _ in rows].count("int8") == 1
    assert "each variant where it keeps the limits best; 1 more rows with --json" in done.stdout
    assert "pruned-30 failed: out of memory" in done.stdout
    assert "Its PSNR loss was not scored on openvino: 24 test pairs, scored as its aoti file." in done.stdout
    done = cli("recommend", "runs/demo", "--max-latency-ms", "30", "--runtime", "aoti", "--device", "cpu", "--json")
    found = json.loads(done.stdout)
    assert {c["runtime"] for c in found["candidates"]} == {"aoti", None}
    assert (found["limits"]["runtime"], found["limits"]["device"]) == ("aoti", "cpu")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["runs/demo"],
            "at least one of --max-latency-ms, --max-size-mb, --max-psnr-loss-db must be given; none is. "
            "Type for example: lightsharp recommend runs/demo --max-latency-ms 30",
        ),
        (
            ["runs/demo", "--max-latency-ms", "-3"],
            "--max-latency-ms must be a number above 0; got '-3'. Type for example: --max-latency-ms 1.5",
        ),
        (
            ["runs/demo", "--max-size-mb", "0"],
            "--max-size-mb must be a number above 0; got '0'. Type for example: --max-size-mb 1.5",
        ),
        (["runs/demo", "--max-psnr-loss-db", "nan"], "--max-psnr-loss-db must be a number above 0; got 'nan'."),
        (["runs/demo", "--max-psnr-loss-db", "inf"], "--max-psnr-loss-db must be a number above 0; got 'inf'."),
        (["runs/demo", "--max-size-mb", "3mb"], "--max-size-mb must be a number above 0; got '3mb'."),
        (["runs/dmeo", "--max-size-mb", "3"], "runs/dmeo must be a run's folder with report.json; there is none."),
        (["zzz"], "zzz must be a run's folder with report.json; there is none. Runs here: runs/demo."),
        (
            ["runs/demo", "--max-size-mb", "3", "--runtime", "atoi"],
            "no runtime 'atoi'. Did you mean 'aoti'? Known: aoti, eager,",
        ),
        (
            ["runs/demo", "--max-size-mb", "3", "--runtime", "openvino"],
            "--runtime and --device must name what the run was timed on; got openvino. It was timed on: aoti on cpu. "
            "Take one of these, or run its recipe with other measure.runtimes and measure.devices.",
        ),
        (
            ["runs/demo", "--max-size-mb", "3", "--runtime", "aoti", "--device", "cuda"],
            "must name what the run was timed on; got aoti on cuda. It was timed on: aoti on cpu.",
        ),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(cli: Cli, demo: Path, arguments: list[str], said: str) -> None:
    done = cli("recommend", *arguments)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""
