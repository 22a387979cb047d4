import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from reports.change import NumberChange
from reports.diff import Difference, TextChange, difference
from reports.diff_view import diff_summary, diff_view
from reports.record import GateVerdict, Report, Variant
from reports.table import DASH
from reports.write import write_report
from tests.reports.records import on_gpu, set_metric, shipped, variant_of

LATENCY = "latency (aoti, cpu, 2 threads, 1x256x256)"


@pytest.fixture
def demo() -> Report:
    return shipped("demo")


@pytest.fixture
def changed() -> Report:
    return shipped("demo")


def compared(old: Report, new: Report) -> Difference:
    return difference(("old", old), ("new", new))


def number(found: Difference, variant: str, what: str) -> NumberChange:
    return next(one for one in found.numbers if (one.variant, one.what) == (variant, what))


def shift(variant: Variant, by: Callable[[int], float]) -> None:
    """Change the PSNR of every picture."""
    for place, picture in enumerate(variant.pictures):
        picture.psnr_db += by(place)


def shown(found: Difference, width: int = 140) -> str:
    console = Console(width=width, record=True, file=None, force_terminal=False)
    with console.capture() as capture:
        console.print(diff_view(found))
    return capture.get()


def test_equal_runs_do_not_differ(demo: Report, changed: Report) -> None:
    found = compared(demo, changed)
    assert {one.verdict for one in found.numbers} == {"same"}
    # Of each: params, MACs, weights, file, PSNR, SSIM and the latency; of a variant also loss and gain.
    assert len(found.numbers) == 7 + 6 * 9
    assert (found.added, found.removed, found.chains, found.environment, found.conditions) == ([], [], [], [], [])
    assert diff_summary(found) == ("From old to new, no number changed: all 61 are the same.")


def test_the_same_loss_on_every_picture_exceeds_noise(demo: Report, changed: Report) -> None:
    shift(variant_of(changed, "int8"), lambda _: -0.25)
    found = compared(demo, changed)
    psnr = number(found, "int8", "psnr_db")
    assert psnr.verdict == "worse"
    assert psnr.ci95 is not None
    assert [psnr.difference, *psnr.ci95] == pytest.approx([-0.25] * 3)
    loss, kept = number(found, "int8", "psnr_loss_db"), number(found, "int8", "gain_kept")
    assert (loss.difference, loss.verdict) == (pytest.approx(0.25), "worse")
    gain = demo.teacher.metrics["psnr_db"].value - demo.run.blurred_psnr_db
    assert (kept.difference, kept.verdict) == (pytest.approx(-0.25 / gain), "worse")
    assert {one.variant for one in found.with_verdict("worse")} == {"int8"}


def test_a_loss_on_some_and_a_gain_on_other_photographs_is_noise(demo: Report, changed: Report) -> None:
    # Two pictures of each photograph: one of the photographs gains what the next one loses, and all lose a little.
    shift(variant_of(changed, "int8"), lambda place: 0.5 * (-1) ** (place // 2) - 0.02)
    psnr = number(compared(demo, changed), "int8", "psnr_db")
    assert psnr.verdict == "within noise"
    assert psnr.difference == pytest.approx(-0.02)
    # Twelve independent photographs of deviation 0.5: the interval is about +-1.96 * 0.5 / sqrt(12).
    assert psnr.ci95 == pytest.approx([-0.02 - 0.283, -0.02 + 0.283], abs=0.04)


def test_pictures_of_one_photograph_are_not_independent(demo: Report, changed: Report) -> None:
    groups = {picture.group for picture in demo.teacher.pictures}
    assert len(groups) == 12
    lucky = variant_of(demo, "int8").pictures[0].group
    for picture in variant_of(changed, "int8").pictures:
        picture.psnr_db += 1.0 if picture.group == lucky else 0.0
    psnr = number(compared(demo, changed), "int8", "psnr_db")
    assert psnr.difference == pytest.approx(1 / 12)
    assert psnr.verdict == "within noise"  # none of the resamples without that photograph sees a gain


def test_a_difference_that_no_report_shows_is_none(demo: Report, changed: Report) -> None:
    shift(variant_of(changed, "int8"), lambda _: -0.004)
    assert number(compared(demo, changed), "int8", "psnr_db").verdict == "same"


def test_without_groups_there_is_no_interval(demo: Report, changed: Report) -> None:
    for report in (demo, changed):
        for picture in variant_of(report, "int8").pictures:
            picture.group = "one"
    shift(variant_of(changed, "int8"), lambda _: -1)
    psnr = number(compared(demo, changed), "int8", "psnr_db")
    assert (psnr.verdict, psnr.difference) == ("not comparable", None)
    assert psnr.reason == "all pictures are of one photograph: there is no interval"


def test_lower_is_better_for_a_distance_and_nothing_is_for_edges() -> None:
    old, new = shipped("edge"), shipped("edge")
    for picture in variant_of(new, "edge").pictures:
        picture.lpips = (picture.lpips or 0) - 0.01
        picture.edge_sharpness = (picture.edge_sharpness or 0) + 0.01
        picture.ssim += 0.01
    found = compared(old, new)
    assert number(found, "edge", "lpips").verdict == "better"
    assert number(found, "edge", "ssim").verdict == "better"
    assert number(found, "edge", "edge_sharpness").verdict == "changed"


def test_counts_are_exact_and_files_as_shown(demo: Report, changed: Report) -> None:
    for name, more in (("params", 1), ("macs", -1), ("weights_mb", 0.000001), ("file_mb", 0.004)):
        set_metric(variant_of(changed, "fp16"), name, variant_of(demo, "fp16").metrics[name].value + more)
    found = compared(demo, changed)
    verdicts = [number(found, "fp16", what).verdict for what in ("params", "macs", "weights_mb", "file_mb")]
    assert verdicts == ["worse", "better", "worse", "same"]
    set_metric(variant_of(changed, "fp16"), "file_mb", variant_of(demo, "fp16").metrics["file_mb"].value + 0.006)
    assert number(compared(demo, changed), "fp16", "file_mb").verdict == "worse"


@pytest.mark.parametrize(
    ("factor", "verdict"), [(1.01, "within noise"), (1.5, "worse"), (0.5, "better"), (1.0, "same")]
)
def test_latencies_differ_if_their_ranges_do_not_meet(
    demo: Report, changed: Report, factor: float, verdict: str
) -> None:
    row = variant_of(changed, "int8").latency[0]  # 22.78 .. 24.02 around 23.28
    row.median_ms, row.p10_ms, row.p90_ms = (factor * (end or 0) for end in (row.median_ms, row.p10_ms, row.p90_ms))
    found = number(compared(demo, changed), "int8", LATENCY)
    assert found.verdict == verdict
    assert found.difference == pytest.approx((factor - 1) * 23.28, abs=0.01)


def test_ranges_that_touch_meet(demo: Report, changed: Report) -> None:
    old, new = variant_of(demo, "int8").latency[0], variant_of(changed, "int8").latency[0]
    old.p10_ms, old.median_ms, old.p90_ms = 10.0, 11.0, 12.0
    new.p10_ms, new.median_ms, new.p90_ms = 12.0, 13.0, 14.0
    assert number(compared(demo, changed), "int8", LATENCY).verdict == "within noise"
    new.p10_ms = math.nextafter(12.0, 13.0)
    assert number(compared(demo, changed), "int8", LATENCY).verdict == "worse"


@pytest.mark.parametrize("key", ["cpu", "threads", "gpu"])
def test_latencies_of_another_machine_are_not_compared(demo: Report, changed: Report, key: str) -> None:
    changed.run.environment[key] = "other"
    variant_of(changed, "int8").latency[0].median_ms = 500.0
    found = compared(demo, changed)
    one = number(found, "int8", LATENCY)
    assert (one.verdict, one.difference, one.new) == ("not comparable", None, 500.0)
    assert one.reason == f"not the same machine: {key} {demo.run.environment.get(key, 'none')} → other"
    assert found.environment == [TextChange(what=key, old=demo.run.environment.get(key), new="other")]


def test_another_torch_on_the_same_machine_is_compared(demo: Report, changed: Report) -> None:
    changed.run.environment["torch"] = "2.14"
    found = compared(demo, changed)
    assert found.environment == [TextChange(what="torch", old="2.13.0+cpu", new="2.14")]
    assert number(found, "int8", LATENCY).verdict == "same"


def test_a_record_that_names_no_machine_is_not_compared(demo: Report, changed: Report) -> None:
    changed.run.environment = {}
    assert number(compared(demo, changed), "int8", LATENCY).reason == "the record does not name the machine"


def test_a_time_that_cannot_be_taken_any_more_is_a_loss(demo: Report, changed: Report) -> None:
    gone = {"median_ms": None, "p10_ms": None, "p90_ms": None, "threads": 0, "missing": "no g++"}
    latency = variant_of(changed, "int8").latency
    latency[0] = latency[0].model_copy(update=gone)
    one = number(compared(demo, changed), "int8", LATENCY)
    assert (one.verdict, one.reason) == ("worse", "it cannot be timed any more: no g++")
    latency.clear()
    one = number(compared(demo, changed), "int8", LATENCY)
    assert (one.verdict, one.reason) == ("not comparable", "it is not timed any more")


def test_a_number_that_is_gone_with_a_reason_is_a_loss(demo: Report, changed: Report) -> None:
    gone = {"value": None, "missing": "no compiler"}
    metrics = variant_of(changed, "int8").metrics
    metrics["file_mb"] = metrics["file_mb"].model_copy(update=gone)
    one = number(compared(demo, changed), "int8", "file_mb")
    assert (one.verdict, one.reason) == ("worse", "it is not there any more: no compiler")
    assert number(compared(changed, demo), "int8", "file_mb").reason == "it was not measured before"


def test_what_an_older_record_lacks_is_not_compared(demo: Report) -> None:
    one = number(compared(demo, shipped("edge")), "teacher", "lpips")
    assert (one.old, one.verdict, one.reason) == (None, "not comparable", "it was not measured before")
    assert number(compared(shipped("edge"), demo), "teacher", "lpips").reason == "it is not measured any more"


def test_quality_on_other_pictures_is_not_compared(demo: Report, changed: Report) -> None:
    for variant in (changed.teacher, *changed.variants):
        variant.pictures.pop()
    found = compared(demo, changed)
    one = number(found, "int8", "psnr_db")
    assert (one.verdict, one.reason) == ("not comparable", "not the same test pairs: 24 → 23")
    assert number(found, "int8", "params").verdict == "same"


def test_a_variant_that_lacks_pictures_is_not_compared(demo: Report, changed: Report) -> None:
    variant_of(changed, "int8").pictures.pop()
    assert number(compared(demo, changed), "int8", "psnr_db").reason == "not the same pictures"
    variant_of(changed, "int8").pictures.clear()
    assert number(compared(demo, changed), "int8", "psnr_db").reason == "the record has no single pictures"


def test_a_failure_is_for_the_worse_and_its_end_for_the_better(demo: Report, changed: Report) -> None:
    chain = variant_of(demo, "int8").chain
    place = [variant.name for variant in changed.variants].index("int8")
    changed.variants[place] = Variant(name="int8", chain=chain, status="failed", error="no memory")
    found = compared(demo, changed)
    assert [(one.what, one.verdict, one.reason) for one in found.numbers if one.variant == "int8"] == [
        ("status", "worse", "it failed: no memory")
    ]
    assert number(compared(changed, demo), "int8", "status").verdict == "better"


def test_variants_chains_and_conditions_that_changed_are_named(demo: Report, changed: Report) -> None:
    changed.variants[0].chain = ["prune params_cut 0.4"]
    changed.variants[-1].name = "other"
    changed.run.conditions[-1] = "Latency: 50 rounds."
    found = compared(demo, changed)
    assert (found.added, found.removed) == (["other"], ["pruned-50-int8"])
    assert [(change.what, change.new) for change in found.chains] == [("pruned-30", "prune params_cut 0.4")]
    assert [(change.what, change.new) for change in found.conditions] == [("Latency", "50 rounds.")]


def test_a_gate_that_now_fails_is_told(demo: Report, changed: Report) -> None:
    holds = GateVerdict(gate="min_gain_kept", limit=0.85, measured=0.9, passed=True)
    variant_of(demo, "int8").gates = [holds]
    variant_of(changed, "int8").gates = [holds.model_copy(update={"measured": 0.8, "passed": False})]
    one = number(compared(demo, changed), "int8", "gate min_gain_kept")
    assert (one.old, one.new, one.verdict) == (0.9, 0.8, "changed")
    assert one.reason == "holds (limit 0.85) → failed (limit 0.85)"


def test_the_terminal_shows_what_is_not_the_same_and_sums_up(demo: Report, changed: Report) -> None:
    shift(variant_of(changed, "int8"), lambda _: -0.25)
    set_metric(variant_of(changed, "int8"), "psnr_db", variant_of(demo, "int8").metrics["psnr_db"].value - 0.25)
    changed.run.environment["torch"] = "2.14"
    text = shown(compared(demo, changed))
    lines = text.splitlines()
    row = lines[lines.index("int8") + 1].split()
    assert row == ["PSNR", "dB", "26.96", "26.71", "-0.25", "[-0.25,", "-0.25]", "✗", "worse"]
    assert "fp16" not in text
    assert "environment of torch: 2.13.0+cpu → 2.14" in text
    assert "3 numbers changed for the worse beyond noise (int8: PSNR, PSNR loss, Gain kept)" in " ".join(text.split())


def test_a_narrow_terminal_loses_no_verdict(demo: Report) -> None:
    text = shown(compared(demo, on_gpu(demo)), width=80)
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("not comparable 1") == 21


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
def test_no_word_of_the_table_is_broken(demo: Report, width: int) -> None:
    for variant in demo.variants:
        variant.name += "-with-a-name-that-is-long"
    other = on_gpu(demo)
    other.run.environment = demo.run.environment
    for variant in (other.teacher, *other.variants):
        for row, runtime in zip(variant.latency, ("aoti", "onnxruntime"), strict=True):
            row.runtime = runtime
            row.median_ms, row.p10_ms, row.p90_ms = (
                1.5 * (end or 0) for end in (row.median_ms, row.p10_ms, row.p90_ms)
            )
    found = difference(("old-run-with-a-long-name", demo), ("new-run-with-a-long-name", other))
    text = shown(found, width)
    assert max(map(len, text.splitlines())) <= width
    numbers = [one for one in found.numbers if one.verdict != "same"]
    assert len(numbers) == 14
    words = {word for one in numbers for word in (one.variant, *one.verdict.split())}
    words |= {"latency", "(aoti,", "cpu)", "(onnxruntime,", "cuda)", "1x256x256"}
    words |= {f"{end:.2f}" for one in numbers if one.old and one.new for end in (one.old, one.new) if 10 <= end < 100}
    words |= {"..".join(f"{end:.2f}" for end in one.old_range) for one in numbers if one.old_range and one.new_range}
    assert {"worse", "58.60..60.63"} <= words
    assert words <= set(text.split())


def test_counts_are_in_full_only_where_they_would_look_alike(demo: Report, changed: Report) -> None:
    for report, params, macs in ((demo, 926_435, 8.71e9), (changed, 926_436, 9.71e9)):
        set_metric(variant_of(report, "fp16"), "params", params)
        set_metric(variant_of(report, "fp16"), "macs", macs)
    rows = {line.split()[0]: line.split() for line in shown(compared(demo, changed)).splitlines() if "worse" in line}
    assert rows["Parameters"] == ["Parameters", "926,435", "926,436", "+1", "(0.0%)", "✗", "worse"]
    assert rows["MACs"][:8] == ["MACs", "8.71", "G", "9.71", "G", "+1.00", "G", "(+11.5%)"]


def test_no_zero_has_a_sign(demo: Report, changed: Report) -> None:
    one = NumberChange(variant="int8", what="psnr_loss_db", unit="dB", old=-0.001, new=-0.003, verdict="within noise")
    one = one.model_copy(update={"difference": -0.002, "ci95": (-0.004, 0.004)})
    file = one.model_copy(update={"what": "file_mb", "unit": "MB", "old": 4.0, "new": 3.999, "difference": -0.001})
    text = shown(compared(demo, changed).model_copy(update={"numbers": [one, file.model_copy(update={"ci95": None})]}))
    rows = [line.split() for line in text.splitlines() if "within noise" in line][:2]
    assert rows[0][:8] == ["PSNR", "loss", "dB", "0.00", "0.00", "0.00", "[0.00,", "0.00]"]
    assert rows[1] == ["File", "MB", "4.00", "4.00", "0.00", "(0.0%)", "within", "noise"]


def test_runs_without_a_common_variant_cannot_be_compared(cli: Callable[..., Any], tmp_path: Path) -> None:
    for name in ("demo", "edge"):
        write_report(shipped(name), tmp_path / name)
    for more in ([], ["--fail-on-change"], ["--json"]):
        done = cli("diff", "demo", "edge", *more)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.strip() == (
            "error: the runs must have a variant in common; demo has pruned-30, pruned-50, ds-distilled and 3 more, "
            "edge has edge, edge-int8, edge-int8-qat. To see them side by side, type: "
            "lightsharp report demo edge --out runs/merged"
        )


def test_runs_of_a_teacher_alone_have_it_in_common(cli: Callable[..., Any], tmp_path: Path) -> None:
    for name, variants in (("old", []), ("new", []), ("demo", shipped("demo").variants)):
        write_report(shipped("demo").model_copy(update={"variants": variants}), tmp_path / name)
    assert cli("diff", "old", "new", "--fail-on-change").returncode == 0
    done = cli("diff", "old", "demo")
    assert done.returncode == 2
    assert "must have a variant in common; old has none, demo has pruned-30, " in done.stderr


def test_names_are_no_markup(demo: Report, changed: Report) -> None:
    for report in (demo, changed):
        report.variants[0].name = "[red]x[/red]"
    set_metric(changed.variants[0], "params", 1)
    changed.run.environment["[b]"] = "[/i]"
    text = shown(compared(demo, changed))
    assert "[red]x[/red]" in text
    assert f"environment of [b]: {DASH} → [/i]" in text


def test_intervals_are_those_of_the_evaluation(demo: Report) -> None:
    """The recorded loss of a variant is the same mean of differences: against the teacher, paired by picture."""
    loss = variant_of(demo, "pruned-50").metrics["psnr_loss_db"]
    swapped = demo.model_copy(deep=True)
    variant_of(swapped, "pruned-50").pictures = swapped.teacher.pictures
    found = number(compared(swapped, demo), "pruned-50", "psnr_loss_db")
    assert loss.ci95 is not None
    assert found.ci95 is not None
    assert np.allclose([found.difference or 0, *found.ci95], [loss.value or 0, *loss.ci95])
