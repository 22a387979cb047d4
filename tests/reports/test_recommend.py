"""Choices from hand-made records: what is expected is read off the numbers in `run`."""

import json
from typing import Any

import pytest

from baseline.measurement import METRICS
from reports.recommend import Candidate, Choice, Found, at_place, candidates_of, choose, number
from reports.recommend_text import Asked, Place, choice_json, left_out, notes, recommendation, value_text
from reports.record import GateVerdict, LatencyRow, Report, RunInfo, Variant

NO_KERNEL = "XNNPACK must have a kernel for every operator; it has none for hardtanh."
EXPLODED = "the loss stopped being finite at step 212; type --set lr=1e-4"

PLACE = Place("runs/edge", "lightsharp run runs/edge/recipe.yaml --out runs/edge")


def row(runtime: str, median_ms: float | None, missing: str | None = None, **given: Any) -> LatencyRow:
    timed = {"median_ms": median_ms, "p90_ms": median_ms and 1.1 * median_ms, "file": "network.bin"}
    fields = {"device": "cpu", "dtype": "int8", "threads": 4, "batch": 1, "size": (256, 256), "missing": missing}
    return LatencyRow(runtime=runtime, **(fields | (timed if median_ms else {}) | given))


def variant(name: str, loss_db: float | None, rows: list[LatencyRow], sizes: dict[str, float], **given: Any) -> Variant:
    """A variant whose first size is `file_mb`, as a run records it; the others stand in the files' proofs."""
    metrics = {}
    for runtime, size in list(sizes.items())[:1]:
        metrics["file_mb"] = METRICS["file_mb"].measured(size, f"{runtime} file, compiled code included")
        if loss_db is not None:
            scored = f"24 test pairs, scored as its {runtime} file"
            interval = (loss_db - 0.05, loss_db + 0.05)
            metrics["psnr_loss_db"] = METRICS["psnr_loss_db"].measured(loss_db, scored, interval)
    proofs = [{"stage": f"export: {r}", "runtime": r, "megabytes": mb} for r, mb in list(sizes.items())[1:]]
    return Variant(name=name, metrics=metrics, latency=rows, details=proofs, **given)


@pytest.fixture
def run() -> Report:
    info = RunInfo(name="edge", description="", data="photos", command="lightsharp run edge.yaml")
    info.environment = {"cpu": "Cortex-A76", "gpu": "Mali"}
    teacher = variant("teacher", None, [row("openvino", 40.0, dtype="fp32"), row("onnxruntime", 50.0)], {})
    teacher.metrics["file_mb"] = METRICS["file_mb"].measured(4.0, "openvino file, compiled code included")
    variants = [
        variant("pruned", 0.3, [row("openvino", 20.0), row("onnxruntime", 30.0)], {"openvino": 2.0}),
        variant("int8", 0.08, [row("onnxruntime", 12.0), row("openvino", 10.0)], {"openvino": 1.0, "onnxruntime": 1.5}),
        variant("edge-int8", 0.5, [row("openvino", 7.1), row("executorch", None, NO_KERNEL)], {"openvino": 0.5}),
        Variant(name="broken", status="failed", error=EXPLODED),
    ]
    return Report(run=info, teacher=teacher, variants=variants)


def chosen(run: Report, found: dict[tuple[str, str], Found] | None = None, **limits: float) -> Choice:
    return choose(candidates_of(run, found or {}), limits)


def name_of(candidate: Candidate | None) -> str | None:
    return None if candidate is None else candidate.name


@pytest.mark.parametrize(
    ("limits", "taken"),
    [
        ({"latency_ms": 25.0}, "int8 on openvino, cpu"),
        ({"latency_ms": 9.0}, "edge-int8 on openvino, cpu"),
        ({"latency_ms": 7.1}, "edge-int8 on openvino, cpu"),  # a limit that is just reached is kept
        ({"latency_ms": 45.0}, "teacher on openvino, cpu"),
        ({"size_mb": 1.2}, "int8 on openvino, cpu"),
        ({"size_mb": 0.9}, "edge-int8 on openvino, cpu"),
        ({"latency_ms": 9.0, "size_mb": 0.5, "psnr_loss_db": 0.5}, "edge-int8 on openvino, cpu"),
        ({"psnr_loss_db": 0.1}, "teacher on openvino, cpu"),
    ],
)
def test_the_smallest_loss_that_keeps_every_limit_is_taken(run: Report, limits: dict[str, float], taken: str) -> None:
    choice = chosen(run, **limits)
    assert name_of(choice.recommended) == taken
    assert choice.ranked[0] is choice.recommended
    assert choice.unmet == []


@pytest.mark.parametrize(
    ("loss_db", "median_ms", "taken"),
    [
        (0.0851, 9.0, "twin"),  # other hundredths than those of 0.08, but less than one of them apart
        (0.0899, 9.0, "twin"),
        (0.0901, 9.0, "int8"),
        (0.0749, 11.0, "int8"),
        (0.0699, 11.0, "twin"),
    ],
)
def test_of_losses_a_hundredth_apart_or_less_the_faster_is_taken(
    run: Report, loss_db: float, median_ms: float, taken: str
) -> None:
    run.variants.append(variant("twin", loss_db, [row("openvino", median_ms)], {"openvino": 1.0}))
    best = chosen(run, latency_ms=25).recommended
    assert best is not None
    assert best.record.name == taken


def test_equals_of_equals_are_not_equal(run: Report) -> None:
    """0.30, 0.309 and 0.318 dB: the last is within 0.01 dB of the second, but not of the best."""
    losses = {0.3: 9.0, 0.309: 8.0, 0.318: 7.0}
    run.variants = [variant(str(db), db, [row("openvino", ms)], {"openvino": 1.0}) for db, ms in losses.items()]
    names = [c.record.name for c in chosen(run, latency_ms=25).ranked if not c.is_teacher]
    assert names == ["0.309", "0.3", "0.318"]


def test_only_the_asked_runtime_and_device_count(run: Report) -> None:
    run.variants[1].latency.append(row("tensorrt", 2.0, device="cuda"))
    candidates = candidates_of(run, {})
    limits = {"latency_ms": 25.0}
    assert name_of(choose(candidates, limits).recommended) == "int8 on tensorrt, cuda"
    assert name_of(choose(at_place(candidates, None, "cpu"), limits).recommended) == "int8 on openvino, cpu"
    assert name_of(choose(at_place(candidates, "onnxruntime", None), limits).recommended) == "int8 on onnxruntime, cpu"
    left = at_place(candidates, "tensorrt", "cpu")
    assert [c.record.name for c in left] == ["broken"]


def test_a_size_is_that_of_the_runtimes_own_file(run: Report) -> None:
    run.variants[0].details = [{"stage": "export: openvino", "megabytes": 7.0}, {"stage": "export: onnxruntime"}]
    found = {("pruned", "onnxruntime"): Found("pruned.onnx", 2.5), ("int8", "onnxruntime"): Found("int8.onnx", 9.9)}
    sizes = {c.name: c.values.get("size_mb") for c in candidates_of(run, found)}
    assert sizes["pruned on openvino, cpu"] == 2.0  # file_mb
    assert sizes["int8 on onnxruntime, cpu"] == 1.5  # its proof in the record, before what lies in the folder
    assert sizes["pruned on onnxruntime, cpu"] == 2.5  # the folder
    assert sizes["teacher on onnxruntime, cpu"] is None
    assert sizes["edge-int8 on executorch, cpu"] is None


def test_a_missing_number_is_never_kept_and_its_reason_is_said(run: Report) -> None:
    run.teacher.latency = [row("onnxruntime", 5.0), row("eager", 6.0, file=None)]
    run.variants[2].metrics.pop("psnr_loss_db")
    limits = {"size_mb": 5.0, "psnr_loss_db": 9.0}
    choice = chosen(run, **limits)
    kept = {c.name: c.keeps(limits) for c in choice.ranked}
    assert kept["teacher on onnxruntime, cpu"] == {"size_mb": None, "psnr_loss_db": True}
    assert kept["edge-int8 on openvino, cpu"] == {"size_mb": True, "psnr_loss_db": None}
    assert name_of(choice.recommended) == "int8 on openvino, cpu"
    assert left_out(choice, limits) == [
        "file size on onnxruntime, cpu was not measured for teacher, pruned: the record has no size of its onnxruntime "
        "file, and the run's folder has no such file",
        "file size on eager, cpu was not measured for teacher: eager runs the network in memory; there is no file",
        "PSNR loss on openvino, cpu was not measured for edge-int8: the record has no psnr_loss_db",
        f"latency on executorch, cpu was not measured for edge-int8: {NO_KERNEL}",
        f"broken failed: {EXPLODED}",
    ]


def test_what_no_runtime_ran_is_not_recommended(run: Report) -> None:
    run.variants.append(variant("better", -1.0, [row("executorch", None, NO_KERNEL)], {"executorch": 1.0}))
    assert name_of(chosen(run, psnr_loss_db=5).recommended) == "teacher on openvino, cpu"
    run.teacher.latency = []
    run.variants = [variant("int8", 0.08, [row("executorch", None, NO_KERNEL)], {"executorch": 1.0})]
    run.variants.append(Variant(name="broken", status="failed", error=EXPLODED, latency=[row("openvino", 1.0)]))
    choice = chosen(run, psnr_loss_db=5)
    assert choice.recommended is None
    (unmet,) = choice.unmet
    assert unmet.limit == "timed"
    assert unmet.said == ("no variant was timed, and what no runtime ran is not recommended: the record has no latency")


def test_a_limit_that_nothing_meets_names_the_best_and_by_how_much_it_misses(run: Report) -> None:
    choice = chosen(run, latency_ms=5, size_mb=0.1)
    assert choice.recommended is None
    assert [unmet.said for unmet in choice.unmet] == [
        "--max-latency-ms 5: nothing meets it; the fastest is edge-int8 on openvino, cpu, with 7.1 ms, 2.1 ms too slow",
        "--max-size-mb 0.1: nothing meets it; the smallest is edge-int8 on openvino, cpu, with 0.5 MB, "
        "0.4 MB too large",
    ]
    assert recommendation(choice, {"latency_ms": 5, "size_mb": 0.1}, run, PLACE) == [
        unmet.said for unmet in choice.unmet
    ]


def test_a_loss_that_nothing_meets(run: Report) -> None:
    run.teacher.latency = [row("openvino", None, "no memory")]
    (unmet,) = chosen(run, psnr_loss_db=0.05).unmet
    assert unmet.said == (
        "--max-psnr-loss-db 0.05: nothing meets it; the best is int8 on openvino, cpu, with 0.08 dB, 0.03 dB too much"
    )


def test_a_limit_whose_value_is_nowhere_known(run: Report) -> None:
    run.variants[1].details = []
    (unmet,) = choose(at_place(candidates_of(run, {}), "onnxruntime", None), {"size_mb": 3.0}).unmet
    assert unmet.said == (
        "--max-size-mb 3: nothing is known to meet it; no file size is known (the record has no size of its "
        "onnxruntime file, and the run's folder has no such file)"
    )


def test_limits_that_nothing_keeps_together_name_the_nearest_and_all_it_misses(run: Report) -> None:
    # int8 is a quarter too slow; edge-int8 loses five times what is allowed, the teacher takes five times as long.
    (unmet,) = chosen(run, latency_ms=8, psnr_loss_db=0.1).unmet
    assert unmet.limit == "together"
    assert unmet.said == (
        "--max-latency-ms 8 --max-psnr-loss-db 0.1: each is met by something, but all of them together by nothing; "
        "the nearest is int8 on openvino, cpu: its latency of 10 ms is 2 ms too slow"
    )
    (unmet,) = chosen(run, latency_ms=8, size_mb=0.9, psnr_loss_db=0.1).unmet
    assert unmet.said.endswith(
        "the nearest is int8 on openvino, cpu: its latency of 10 ms is 2 ms too slow; "
        "its file size of 1 MB is 0.1 MB too large"
    )


def test_where_what_is_known_is_worse_the_nearest_says_what_it_lacks(run: Report) -> None:
    run.teacher.latency = [row("onnxruntime", 50.0)]
    run.variants = [
        variant("unsized", 0.1, [row("onnxruntime", 10.0)], {"openvino": 2.0}),
        variant("unscored", None, [row("openvino", 20.0)], {"openvino": 2.0}),
    ]
    (unmet,) = chosen(run, latency_ms=15, size_mb=3, psnr_loss_db=0.2).unmet
    assert unmet.said.endswith(
        "the nearest is unsized on onnxruntime, cpu: no file size: the record has no size of its onnxruntime file, and "
        "the run's folder has no such file"
    )


def test_candidates_that_miss_stand_in_the_order_of_what_they_miss(run: Report) -> None:
    ranked = chosen(run, latency_ms=8, psnr_loss_db=0.1).ranked
    assert [c.name for c in ranked] == [
        "int8 on openvino, cpu",  # 2/8
        "int8 on onnxruntime, cpu",  # 4/8
        "pruned on openvino, cpu",  # 12/8 + 0.2/0.1 = 3.5
        "teacher on openvino, cpu",  # 32/8 = 4
        "edge-int8 on openvino, cpu",  # 0.4/0.1 = 4
        "pruned on onnxruntime, cpu",  # 22/8 + 2 = 4.75
        "teacher on onnxruntime, cpu",  # 42/8 = 5.25
        "edge-int8 on executorch, cpu",
        "broken",
    ]


def test_a_recommendation_says_what_to_take_and_where_it_lies(run: Report) -> None:
    limits = {"latency_ms": 25.0}
    found = {("int8", "openvino"): Found("runs/edge/variants/int8/int8.xml", 1.0)}
    assert recommendation(chosen(run, found, **limits), limits, run, PLACE) == [
        "Take int8 on openvino, cpu: 10.00 ms (int8, 4 threads, 256x256), file size 1.00 MB, "
        "PSNR loss 0.08 [0.03, 0.13] dB.",
        "File: runs/edge/variants/int8/int8.xml",
        "Timed on Cortex-A76; milliseconds hold for that machine.",
    ]


def test_a_teacher_that_keeps_the_limits_needs_no_compressing(run: Report) -> None:
    said = recommendation(chosen(run, latency_ms=45), {"latency_ms": 45}, run, PLACE)
    assert said[0] == (
        "Take teacher on openvino, cpu: 40.00 ms (fp32, 4 threads, 256x256), file size 4.00 MB, PSNR loss 0.00 dB. "
        "It is the teacher itself: nothing needs compressing."
    )
    assert said[1] == "File: not in runs/edge. Type: lightsharp run runs/edge/recipe.yaml --out runs/edge"
    said = recommendation(chosen(run, latency_ms=45), {"latency_ms": 45}, run, Place("edge", ""))
    assert said[1] == (
        "File: not in edge, which is a report alone; its run was made, elsewhere, by: lightsharp run edge.yaml"
    )


def test_a_runtime_without_files_takes_the_artifact(run: Report) -> None:
    run.variants = [variant("int8", 0.08, [row("inductor", 3.0, file=None, device="cuda", threads=1)], {"openvino": 1})]
    limits = {"latency_ms": 5.0}
    said = recommendation(chosen(run, {("int8", "inductor"): Found("int8/artifact")}, **limits), limits, run, PLACE)
    assert "(int8, 1 thread, 256x256), file size unknown (inductor runs the network in memory; there is no" in said[0]
    assert said[1] == "Artifact: int8/artifact"
    assert said[-1] == "Timed on Mali; milliseconds hold for that machine."


def test_notes_say_what_the_mean_and_the_median_hide(run: Report) -> None:
    int8 = run.variants[1]
    int8.gates = [GateVerdict(gate="min_gain_kept", limit=0.9, measured=0.8, passed=False)]
    candidates = {c.name: c for c in candidates_of(run, {})}
    assert notes(candidates["int8 on onnxruntime, cpu"], {"latency_ms": 12.5, "psnr_loss_db": 0.1}) == [
        "The recipe's gate min_gain_kept failed: 0.8, limit 0.9.",
        "The 95% interval of its PSNR loss ends at 0.13 dB, over 0.1.",
        "One call in ten took longer than 13.2 ms, over 12.5.",
        "Its PSNR loss was not scored on onnxruntime: 24 test pairs, scored as its openvino file.",
    ]
    int8.gates = []
    assert notes(candidates["int8 on openvino, cpu"], {"latency_ms": 11.0, "psnr_loss_db": 0.13}) == []
    int8.metrics["gain_kept"] = METRICS["gain_kept"].measured(-0.1, "")
    assert notes(candidates["int8 on openvino, cpu"], {}) == [
        "It does worse than leaving the pictures as they are: its gain kept is negative."
    ]
    int8.metrics["gain_kept"] = METRICS["gain_kept"].measured(0.0, "")
    # What is over a limit anyway needs no note of its edges.
    assert notes(candidates["int8 on openvino, cpu"], {"latency_ms": 9.0, "psnr_loss_db": 0.01}) == []


def test_values_are_shown_as_the_report_shows_them(run: Report) -> None:
    candidates = {c.name: c for c in candidates_of(run, {})}
    int8, missing = candidates["int8 on openvino, cpu"], candidates["edge-int8 on executorch, cpu"]
    assert [value_text(int8, key) for key in int8.values] == ["10.00", "1.00", "0.08 [0.03, 0.13]"]
    assert value_text(missing, "latency_ms") == "\N{EN DASH}"


@pytest.mark.parametrize(
    ("value", "text"), [(1500.8, "1501"), (123.4, "123"), (23.28, "23.3"), (7.1, "7.1"), (0.000673, "0.000673")]
)
def test_numbers_have_three_digits_that_count_and_no_exponent(value: float, text: str) -> None:
    assert number(value) == text


def test_json_has_the_same_keys_whatever_is_found(run: Report) -> None:
    met = choice_json(chosen(run, latency_ms=25), Asked({"latency_ms": 25}, "openvino"))
    unmet = choice_json(chosen(run, latency_ms=5), Asked({"latency_ms": 5}))
    assert list(met) == list(unmet) == ["recommended", "limits", "candidates", "unmet"]
    assert met["limits"] == {
        "max_latency_ms": 25,
        "max_size_mb": None,
        "max_psnr_loss_db": None,
        "runtime": "openvino",
        "device": None,
    }
    best = met["recommended"]
    assert best == met["candidates"][0]
    assert (best["variant"], best["runtime"], best["latency_ms"], best["size_mb"]) == ("int8", "openvino", 10.0, 1.0)
    assert best["keeps"] == {"max_latency_ms": True}
    assert unmet["recommended"] is None
    (missed,) = unmet["unmet"]
    assert missed["limit"] == "max_latency_ms"
    assert missed["nearest"]["over"] == {"max_latency_ms": pytest.approx(2.1)}
    entries = [*met["candidates"], *unmet["candidates"]]
    assert {tuple(entry) for entry in entries} == {tuple(best)}
    failed = met["candidates"][-1]
    assert (failed["variant"], failed["status"], failed["error"], failed["fits"]) == (
        "broken",
        "failed",
        EXPLODED,
        False,
    )
    json.dumps([met, unmet], allow_nan=False)
