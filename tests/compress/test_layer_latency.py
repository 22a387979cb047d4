import itertools
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from baseline.errors import UserError
from compress import layer_latency
from compress.channels import Channels
from compress.layer_latency import LayerLatency
from compress.pricing import PricedNetwork
from compress.pruning_settings import LatencyPlace, PruneSettings

PLACE = LatencyPlace(size=(32, 32), threads=1)
ELEMENT = 2.0 / (16 * 256 * 256)
"""Milliseconds an element if the addition of 16x256x256 takes 2."""


def share_of_processors(monkeypatch: pytest.MonkeyPatch, share: float) -> None:
    """Clocks by which timing gets this share of one processor."""
    computed, waited = itertools.count(), itertools.count()
    clocks = SimpleNamespace(process_time=lambda: share * next(computed), perf_counter=lambda: float(next(waited)))
    monkeypatch.setattr(layer_latency, "time", clocks)


@pytest.fixture(autouse=True)
def idle_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    share_of_processors(monkeypatch, 1.0)


class Watch:
    """A stopwatch that says 2 ms and keeps what it was given to time."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], Tensor]] = []

    def __call__(self, call: Callable[[], Tensor]) -> float:
        self.calls.append(call)
        return 2.0


def priced(*layers: nn.Module) -> PricedNetwork:
    network = nn.Sequential(*layers)
    return PricedNetwork(network, Channels(network), (32, 32))


def alike() -> PricedNetwork:
    """Four convolutions of which the two in the middle are alike, and a norm."""
    middle = [nn.Conv2d(8, 8, 3, padding=1) for _ in range(2)]
    return priced(nn.Conv2d(3, 8, 3, padding=1), *middle, nn.BatchNorm2d(8), nn.Conv2d(8, 3, 3, padding=1))


def test_each_shape_is_timed_once_and_the_total_is_the_sum_over_the_layers(tmp_path: Path) -> None:
    network, clock = alike(), LayerLatency(PLACE, tmp_path, Watch())
    # Four layers that are convolutions; of all five, the elements that they put out.
    expected = 4 * 2.0 + (4 * 8 + 3) * 32 * 32 * ELEMENT
    assert network.total({}, clock) == pytest.approx(expected)
    assert clock.timed == 3 + 1  # and the addition
    assert network.total({}, clock) == pytest.approx(expected)
    assert clock.timed == 4


def test_a_narrower_layer_is_another_shape(tmp_path: Path) -> None:
    network, clock = alike(), LayerLatency(PLACE, tmp_path, Watch())
    network.total({}, clock)
    (group,) = [name for name, group in network.channels.groups.items() if "1" in {m.layer for m in group.producers()}]
    expected = 4 * 2.0 + (3 * 8 + 5 + 3) * 32 * 32 * ELEMENT
    assert network.total({group: 5}, clock) == pytest.approx(expected)
    assert clock.timed == 4 + 2  # its own width, and what comes into the one after it


def test_the_table_is_kept_for_the_next_time(tmp_path: Path) -> None:
    network, first = alike(), LayerLatency(PLACE, tmp_path, Watch())
    total = network.total({}, first)
    first.save()
    second = LayerLatency(PLACE, tmp_path, lambda call: pytest.fail("timed again"))
    assert network.total({}, second) == total
    assert second.timed == 0
    other = LayerLatency(PLACE.model_copy(update={"threads": 2}), tmp_path, Watch())
    network.total({}, other)
    assert other.timed == 4


@pytest.mark.parametrize(("threads", "share", "kept"), [(1, 0.71, True), (1, 0.69, False), (2, 1.0, False)])
def test_what_a_busy_machine_took_is_used_but_not_kept(
    threads: int,
    share: float,
    kept: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    share_of_processors(monkeypatch, share)
    clock = LayerLatency(PLACE.model_copy(update={"threads": threads}), tmp_path, Watch())
    assert alike().total({}, clock) > 8
    clock.save()
    assert len(list(tmp_path.rglob("*.json"))) == kept
    said = "the machine was busy: the times of 4 layer shapes are used, but not kept"
    assert (said in capsys.readouterr().err.replace("\n", " ")) != kept


def test_what_two_programs_timed_is_kept_together(tmp_path: Path) -> None:
    network = alike()
    first, second = (LayerLatency(PLACE, tmp_path, Watch()) for _ in range(2))
    network.total({}, first)
    network.total(dict.fromkeys(network.unpruned, 2), second)
    first.save()
    second.save()
    third = LayerLatency(PLACE, tmp_path, Watch())
    network.total({}, third)
    network.total(dict.fromkeys(network.unpruned, 2), third)
    assert third.timed == 0


@pytest.mark.parametrize("damage", [b"{", b"", b"\xff\xfe", b"null", b"[1]"])
def test_a_damaged_table_is_started_anew(damage: bytes, tmp_path: Path) -> None:
    network, first = alike(), LayerLatency(PLACE, tmp_path, Watch())
    network.total({}, first)
    first.save()
    (path,) = tmp_path.rglob("*.json")
    path.write_bytes(damage)
    second = LayerLatency(PLACE, tmp_path, Watch())
    network.total({}, second)
    assert second.timed == 4
    second.save()
    assert len(json.loads(path.read_text())) == 4
    assert list(tmp_path.rglob("*.part")) == []


def test_the_lower_quarter_counts_and_warming_up_does_not(tmp_path: Path) -> None:
    # Of 1 to 15, a quarter of (15 + 1) is the fourth; the addition takes none.
    times = iter([0.0] * 18 + [999.0] * 3 + [float(ms) for ms in range(15, 0, -1)])
    network = priced(nn.Conv2d(3, 3, 3, padding=1))
    clock = LayerLatency(PLACE, tmp_path, lambda call: next(times))
    assert network.total({}, clock) == pytest.approx(4.0)


def test_a_depthwise_layer_is_another_shape(tmp_path: Path) -> None:
    full, depthwise = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1, groups=8)
    network, clock = (
        priced(nn.Conv2d(3, 8, 1), full, depthwise, nn.Conv2d(8, 3, 1)),
        LayerLatency(PLACE, tmp_path, Watch()),
    )
    network.total({}, clock)
    assert clock.timed == 1 + 4


@pytest.mark.parametrize(
    ("layer", "kept", "shape"),
    [
        (nn.Conv2d(3, 8, 3, 2, padding=1), (3, 5), (1, 5, 16, 16)),
        (nn.Conv2d(3, 8, 3, padding=2, dilation=2, bias=False), (2, 5), (1, 5, 32, 32)),
        (nn.Conv2d(3, 8, 3, padding="same"), (3, 6), (1, 6, 32, 32)),
        (nn.Conv2d(3, 3, 5, padding=2, groups=3), (2, 2), (1, 2, 32, 32)),
        (nn.ConvTranspose2d(3, 8, 4, 2, padding=1), (2, 7), (1, 7, 64, 64)),
        (nn.ConvTranspose2d(3, 8, 3, 2, padding=1, output_padding=1), (3, 8), (1, 8, 64, 64)),
    ],
)
def test_the_kernel_that_is_timed_is_the_narrowed_layer(
    layer: nn.Module, kept: tuple[int, int], shape: tuple[int, ...], tmp_path: Path
) -> None:
    network, watch = priced(layer), Watch()
    LayerLatency(PLACE, tmp_path, watch)(network.layers["0"], *kept)
    with torch.inference_mode():
        assert tuple(watch.calls[-1]().shape) == shape


def test_a_layer_of_no_channels_takes_no_time(tmp_path: Path) -> None:
    clock = LayerLatency(PLACE, tmp_path, lambda call: pytest.fail("timed"))
    assert clock(alike().layers["1"], 0, 8) == 0


def test_the_threads_of_the_place_are_set_while_timing(tmp_path: Path) -> None:
    before, seen = torch.get_num_threads(), set()

    def watch(call: Callable[[], object]) -> float:
        seen.add(torch.get_num_threads())
        return 1.0

    alike().total({}, LayerLatency(PLACE.model_copy(update={"threads": before + 1}), tmp_path, watch))
    assert seen == {before + 1}
    assert torch.get_num_threads() == before


def test_fp16_on_a_cpu_is_refused_in_one_line() -> None:
    with pytest.raises(ValidationError) as error:
        PruneSettings.model_validate({"latency_cut": 0.3, "latency": {"device": "cpu", "dtype": "fp16"}})
    (told,) = error.value.errors()
    assert told["msg"] == (
        "Value error, dtype must be fp32 on a CPU; got fp16. Narrower layers are faster in INT8 and FP16, too: choose "
        "for fp32, and quantize after"
    )
    assert LatencyPlace(device="cuda", dtype="fp16").dtype == "fp16"


def test_a_gpu_that_is_not_there_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match=r"there is no CUDA device\. Take device cpu\."):
        LayerLatency(LatencyPlace(device="cuda"), tmp_path)


def test_the_table_lies_in_the_users_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert layer_latency.cache_folder() == tmp_path / "lightsharp"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert layer_latency.cache_folder() == tmp_path / ".cache" / "lightsharp"


class Convolved(TorchDispatchMode):
    """Notes the picture and the weight of every convolution that is called."""

    def __init__(self) -> None:
        super().__init__()
        self.pictures: list[Tensor] = []
        self.weights: list[Tensor] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if "conv" in str(func):
            self.pictures.append(args[0])
            self.weights.append(args[1])
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("layer", [nn.Conv2d(3, 8, 3, padding=1), nn.ConvTranspose2d(3, 8, 4, 2, padding=1)])
def test_a_layer_is_called_as_in_a_file_for_any_size(tmp_path: Path, layer: nn.Module) -> None:
    seen, network = Convolved(), priced(layer)

    def watch(call: Callable[[], Tensor]) -> float:
        with seen:
            call()
        return 2.0

    network.total({}, LayerLatency(PLACE, tmp_path, watch))
    # No picture is one that the processor still has in its cache, and no weight is laid out in advance.
    assert len({picture.data_ptr() for picture in seen.pictures}) == len(seen.pictures) > 10
    assert all(torch.equal(picture, seen.pictures[0]) for picture in seen.pictures)
    assert not any(weight.is_mkldnn for weight in seen.weights)


@pytest.mark.parametrize("changed", ["VERSION", "code_sha256"])
def test_other_code_times_again(changed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network, first = alike(), LayerLatency(PLACE, tmp_path, Watch())
    first(network.layers["0"], 8, 8)
    first.save()
    monkeypatch.setattr(layer_latency, changed, "9" if changed == "VERSION" else lambda _module: "other")
    second = LayerLatency(PLACE, tmp_path, Watch())
    second(network.layers["0"], 8, 8)
    assert second.timed == first.timed > 0
