from baseline.measurement import METRICS
from reports.front import fastest_columns, front, front_columns, front_gaps, smallest_column
from reports.record import GateVerdict, Report, Variant
from tests.reports.records import shipped, variant_of


def set_values(report: Report, values: dict[str, tuple[float | None, ...]]) -> None:
    """Make the variants those of `values`: name -> (psnr_db, latency_ms, file_mb, macs); None is not known."""
    like = report.teacher.latency[0]
    report.variants = [
        Variant(
            name=name,
            metrics={
                key: METRICS[key].lacking("not measured") if value is None else METRICS[key].measured(value, "")
                for key, value in zip(("psnr_db", "file_mb", "macs"), (psnr, file_mb, macs), strict=True)
            },
            latency=[] if latency is None else [like.model_copy(update={"median_ms": latency})],
        )
        for name, (psnr, latency, file_mb, macs) in values.items()
    ]


def test_it_looks_at_quality_size_cost_and_the_latency_of_each_device(report: Report) -> None:
    on_gpu = {"runtime": "inductor", "device": "cuda"}
    report.teacher.latency.append(report.teacher.latency[0].model_copy(update=on_gpu))
    assert [column.heading for column in front_columns(report)] == [
        "MACs",
        "File MB",
        "PSNR dB",
        "Latency ms (cpu)",
        "Latency ms (cuda)",
    ]


def test_a_device_latency_is_that_of_the_fastest_runtime_of_each(report: Report) -> None:
    set_values(report, {"quick": (30, 10, 1, 5)})
    aoti = report.teacher.latency[0].model_copy(update={"median_ms": 40.0})
    report.teacher.latency = [aoti, aoti.model_copy(update={"runtime": "openvino", "median_ms": 20.0})]
    (column,) = fastest_columns(report)
    teacher, quick = (column.cell(row, report) for row in (report.teacher, report.variants[0]))
    assert (teacher.text, teacher.more, teacher.change) == ("20.00", "openvino", "")
    assert (quick.text, quick.more, quick.change) == ("10.00", "aoti", "-50.0%")


def test_times_of_other_machines_or_conditions_are_not_compared(report: Report) -> None:
    set_values(report, {"here": (30, 10, 1, 5), "there": (30, 9, 1, 5)})
    here, there = (variant.latency[0] for variant in report.variants)
    report.variants[1].latency = [there.model_copy(update={"machine": "phone"})]
    report.variants[0].latency = [here.model_copy(update={"machine": "desk"})]
    assert front(report) == ["here", "there"]
    headings = [column.heading for column in fastest_columns(report)]
    assert headings[-2:] == ["Latency ms (cpu, desk)", "Latency ms (cpu, phone)"]
    assert fastest_columns(report)[-1].cell(report.variants[0], report).missing == "not timed on cpu, phone"
    report.variants[1].latency = [here.model_copy(update={"machine": "desk", "threads": 1, "median_ms": 9})]
    assert front(report) == ["here", "there"]
    assert fastest_columns(report)[-1].qualifier.startswith("(cpu, desk, 1 threads")


def test_a_variant_that_is_beaten_in_all_is_not_on_the_front(report: Report) -> None:
    set_values(
        report, {"good": (30, 10, 1, 5), "worse": (29, 11, 2, 6), "quick": (28, 9, 3, 7), "small": (1, 99, 0.5, 9)}
    )
    assert front(report) == ["good", "quick", "small"]


def test_one_axis_is_enough_to_stay_or_to_fall(report: Report) -> None:
    for axis in range(4):
        better = [30.0, 10.0, 1.0, 5.0]
        better[axis] += 1 if axis == 0 else -0.5
        set_values(report, {"plain": (30, 10, 1, 5), "better": tuple(better)})
        assert front(report) == ["better"]


def test_equals_stand_side_by_side(report: Report) -> None:
    set_values(report, {"one": (30, 10, 1, 5), "two": (30, 10, 1, 5)})
    assert front(report) == ["one", "two"]


def test_what_is_not_known_is_not_compared_and_said(report: Report) -> None:
    set_values(report, {"timed": (30, 10, 1, 5), "untimed": (29, None, 2, 6), "small": (29, None, 0.5, 6)})
    assert front(report) == ["timed", "small"]
    assert front_gaps(report) == [
        "untimed, small have no Latency ms (cpu): compared over the rest.",
    ]


def test_a_variant_of_which_nothing_is_known_is_not_on_the_front(report: Report) -> None:
    set_values(report, {"known": (30, 10, 1, 5), "unknown": (None, None, None, None)})
    assert front(report) == ["known"]


def test_a_failed_variant_and_a_failed_gate_neither_stand_nor_push(report: Report) -> None:
    set_values(report, {"sound": (30, 10, 1, 5), "failed": (31, 9, 0.5, 4), "barred": (31, 9, 0.5, 4)})
    report.variants[1].status = "failed"
    report.variants[2].gates = [GateVerdict(gate="max_file_mb", limit=0.1, measured=0.5, passed=False)]
    assert front(report) == ["sound"]


def test_the_front_of_a_whole_report_is_in_its_order(report: Report) -> None:
    assert front(report) == ["pruned-30", "fp16", "int8", "pruned-30-int8"]


def test_a_size_is_that_of_the_smallest_file_against_the_teachers_for_the_same_runtime() -> None:
    edge = shipped("edge")
    cell = smallest_column().cell(variant_of(edge, "edge-int8"), edge)
    assert (cell.text, cell.more, cell.change) == ("0.20", "executorch", "-94.7%")  # 0.203578 of 3.85311
    assert smallest_column().cell(edge.teacher, edge).change == ""


def test_a_report_without_variants_has_no_front(report: Report) -> None:
    report.variants = []
    assert front(report) == []
