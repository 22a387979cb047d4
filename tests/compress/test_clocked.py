from collections.abc import Callable
from pathlib import Path

import pytest
from torch import nn

from compress.clocked import Clock, plan_by_clock
from compress.cost import deployed_params
from compress.layer_latency import LayerLatency
from compress.prune import Surveyed, apply_, plan, survey
from compress.pruning_settings import LatencyPlace, PruneSettings

SETTINGS = PruneSettings(
    latency_cut=0.4, multiple=1, latency=LatencyPlace(size=(32, 32), threads=1), criterion="l2", widths="uniform"
)


@pytest.fixture
def surveyed(
    tiny: Callable[..., nn.Module], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[nn.Module, Surveyed]:
    """A network whose layers take, by a stand-in table, as long as they have parameters."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(LayerLatency, "__call__", lambda _, layer, i, o: layer.weight_params * layer.share(i, o) / 1e3)
    network = tiny(width=16)
    return network, survey(network, SETTINGS, [])


def clock(overhead: float, asked: list[float]) -> Clock:
    """Milliseconds by parameters, where the pruned network takes `overhead` times what the table says."""

    def measure(unpruned: nn.Module, pruned: nn.Module, place: LatencyPlace) -> dict[str, float | str]:
        assert place == SETTINGS.latency
        share = overhead * deployed_params(pruned) / deployed_params(unpruned)
        asked.append(share)
        return {"unpruned_latency_ms": 100.0, "latency_ms": 100 * share, "runtime": "stand-in"}

    return measure


def test_a_plan_that_the_clock_confirms_is_kept(surveyed: tuple[nn.Module, Surveyed]) -> None:
    network, found = surveyed
    shares: list[float] = []
    planned = plan_by_clock(network, found, SETTINGS, None, clock(1.0, shares))
    assert shares == [pytest.approx(0.6, abs=0.03)]
    report = apply_(network, planned, SETTINGS)
    assert report.achieved["latency_cut"] == pytest.approx(1 - shares[0])
    assert report.asked == {"latency_cut": 0.4}


def test_a_plan_that_the_clock_refutes_is_corrected_once(surveyed: tuple[nn.Module, Surveyed]) -> None:
    shares: list[float] = []
    planned = plan_by_clock(*surveyed, SETTINGS, None, clock(1.2, shares))
    assert shares == [pytest.approx(0.72, abs=0.03), pytest.approx(0.6, abs=0.03)]
    assert planned.measured is not None
    assert planned.measured["latency_ms"] == pytest.approx(100 * shares[1])


def test_the_prediction_is_the_tables_share_of_what_the_unpruned_network_takes(
    surveyed: tuple[nn.Module, Surveyed],
) -> None:
    network, found = surveyed
    planned = plan_by_clock(network, found, SETTINGS, None, clock(1.0, []))
    by_table = plan(found, SETTINGS).predicted
    share = by_table["latency_ms"] / by_table["unpruned_latency_ms"]
    assert planned.predicted["unpruned_latency_ms"] == pytest.approx(100)
    assert planned.predicted["latency_ms"] == pytest.approx(100 * share)
    assert planned.predicted["params"] == by_table["params"]


def test_a_correction_that_is_worse_is_not_taken(surveyed: tuple[nn.Module, Surveyed]) -> None:
    shares = iter([66.0, 90.0])
    planned = plan_by_clock(
        *surveyed, SETTINGS, None, lambda *_: {"unpruned_latency_ms": 100.0, "latency_ms": next(shares)}
    )
    assert planned.measured is not None
    assert planned.measured["latency_ms"] == 66.0


def test_without_a_clock_the_plan_says_why(surveyed: tuple[nn.Module, Surveyed]) -> None:
    network, found = surveyed
    planned = plan_by_clock(network, found, SETTINGS, None, lambda *_: {"missing": "no compiler here"})
    report = apply_(network, planned, SETTINGS)
    assert report.measured == {"missing": "no compiler here"}
    assert "latency_cut" not in report.achieved
