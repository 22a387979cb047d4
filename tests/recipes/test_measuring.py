"""Where a recipe's variants are timed, and how their latencies are judged."""

import pytest

from recipes.measuring import places
from recipes.recording import judge
from recipes.schema import Gates, LatencyShareGate, MeasureSettings
from reports.record import LatencyRow


def timed(median_ms: float, runtime: str = "aoti") -> LatencyRow:
    return LatencyRow(
        runtime=runtime, device="cpu", dtype="fp32", threads=2, batch=1, size=(64, 64), median_ms=median_ms
    )


@pytest.mark.parametrize(
    ("devices", "expected"),
    [
        (["auto"], [("aoti", "cpu"), ("inductor", "cuda")]),
        (["cpu"], [("aoti", "cpu")]),
        (["cuda"], [("aoti", "cuda")]),  # as it was asked for: its row says why there is none
    ],
)
def test_a_gpu_that_is_there_is_timed_with_a_runtime_that_runs_on_it(
    devices: list[str], expected: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    found = places(MeasureSettings(runtimes=["aoti"], devices=devices))
    assert [(place.runtime, place.device) for place in found] == expected


def test_what_is_named_for_all_devices_runs_where_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    found = places(MeasureSettings(runtimes=["aoti", "eager"], devices=["auto"]))
    assert [(p.runtime, p.device) for p in found] == [("aoti", "cpu"), ("eager", "cpu"), ("eager", "cuda")]
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert [p.device for p in places(MeasureSettings(runtimes=["aoti"], devices=["auto"]))] == ["cpu"]


@pytest.mark.parametrize(("own_ms", "passed"), [(24.0, True), (26.0, False)])
def test_a_latency_is_judged_as_a_share_of_the_teachers_at_one_place(own_ms: float, passed: bool) -> None:
    gates = Gates(max_latency_share=LatencyShareGate(limit=0.25, runtime="openvino", device="cpu"))
    own, teacher = [timed(50), timed(own_ms, "openvino")], [timed(60), timed(100, "openvino")]
    (verdict,) = judge({}, own, gates, teacher)
    assert verdict.gate == "max_latency_share (openvino, cpu)"
    assert (verdict.measured, verdict.passed) == (own_ms / 100, passed)


def test_a_share_of_a_teacher_that_was_not_timed_is_not_judged() -> None:
    gates = Gates(max_latency_share=LatencyShareGate(limit=0.25))
    (verdict,) = judge({}, [timed(1)], gates, [])
    assert (verdict.passed, verdict.reason) == (None, "not measured")
