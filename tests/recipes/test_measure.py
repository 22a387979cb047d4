"""measure: the whole grid in turn, a reason for whatever cannot be timed; stand-ins for clocks, compilers and GPUs."""

import json
import runpy
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from click.testing import CliRunner
from torch import Tensor, nn

from baseline.errors import UserError
from compress import latency
from compress.noise import Turn
from compress.runtimes import eager, inductor
from compress.target import Target
from compress.timing_worker import TimingWorker
from recipes import timing
from recipes.commands.measuring import measure
from recipes.timing import Grid, measure_named

SPEEDS = {"eager": 40.0, "inductor": 20.0, "graphs": 10.0}
"""Milliseconds by the stand-in clock: inductor's with CUDA graphs and without."""

Calls = list[tuple[str, tuple[int, ...], int]]
"""Whose turn it was, with images of what shape, and on how many threads."""


class Known:
    """A restorer with a name."""

    size_multiple, min_size = 4, 8
    max_batch: int | None = None

    def __init__(self, name: str, fixed_size: tuple[int, int] | None = None) -> None:
        self.name, self.fixed_size = name, fixed_size

    def __call__(self, blurred: Tensor) -> Tensor:
        return blurred


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Opens targets in this process, and times them by a stand-in clock."""
    calls: Calls = []

    class Clocked(TimingWorker):
        def __enter__(self) -> "Clocked":
            return self

        def __exit__(self, *_: object) -> None:
            self.close()

        def open(self, target: Target) -> None:
            super().open(target)
            graphs = target.runtime == "inductor" and target.device == "cuda" and target.cuda_graphs
            self.name, self.target = "graphs" if graphs else target.runtime, target

        def turn(self, count: int) -> Turn:
            calls.append((self.name, (self.target.batch, 3, *self.target.size), self.target.threads or 0))
            return Turn([SPEEDS.get(self.name, 1.0)] * count, 1.0, 0.0)

    monkeypatch.setattr(latency, "TimingProcess", Clocked)
    monkeypatch.setattr(inductor, "unavailable", lambda device: None)
    monkeypatch.setattr(inductor, "wrap", lambda network, device, cuda_graphs: Known("inductor"))
    monkeypatch.setattr(eager, "unavailable", lambda device: None)
    monkeypatch.setattr(eager, "wrap", lambda network, device: Known("eager"))
    return calls


def test_every_combination_is_timed_in_turn(calls: Calls, float_folder: Path) -> None:
    grid = Grid(sizes=((16, 24), (32, 16)), batches=(1, 4), threads=(1, 2), rounds=2)
    measured = measure_named((str(float_folder),), grid)
    assert [name for name, _, _ in calls] == ["eager", "inductor"] * 2 * 8
    combinations = [(b, 3, *s, t) for s in grid.sizes for b in grid.batches for t in (1, 2)]
    assert [(*shape, threads) for _, shape, threads in calls] == [c for c in combinations for _ in range(4)]
    assert [(r.batch, 3, *r.size, r.threads) for r in measured.rows] == [c for c in combinations for _ in range(2)]
    assert [(r.runtime, r.median_ms, r.fastest) for r in measured.rows] == [
        ("eager", 40.0, False),
        ("inductor", 20.0, True),
    ] * 8
    # 4 pictures of 16x24 in 20 ms are 200 a second, and 200 x 384 pixels.
    row = next(r for r in measured.rows if r.batch == 4 and r.size == (16, 24) and r.fastest)
    assert (row.pictures_per_s, row.megapixels_per_s) == pytest.approx((200, 0.0768))
    assert {r.peak_missing for r in measured.rows} == {"ask with --memory"}
    assert not any(row.noise is None or row.noise.noisy for row in measured.rows)


def test_a_noisy_time_says_so_and_why(calls: Calls, float_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    busy = Turn([40.0], 1.0, 0.48)
    monkeypatch.setattr(latency.TimingProcess, "turn", lambda self, count: busy)
    arguments = [str(float_folder), "--runtime", "eager", "--size", "16x24", "--rounds", "1"]
    shown = CliRunner().invoke(measure, arguments, catch_exceptions=False).output
    assert "eager: noisy: other programs took 48% of the processor time (calm: up to 5%)" in shown
    (row,) = json.loads(CliRunner().invoke(measure, [*arguments, "--json"], catch_exceptions=False).output)
    assert row["noise"] == {
        "noisy": True,
        "reasons": [{"kind": "other_load", "value": 0.48, "limit": 0.05}],
        "takes": 1,
    }


def test_on_a_gpu_inductor_is_timed_with_graphs_and_without(
    calls: Calls, float_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(float_folder, tmp_path / "int8")
    monkeypatch.setattr("recipes.measuring.dtype_of", lambda folder: {"int8": "int8"}.get(folder.name, "fp32"))
    monkeypatch.setattr(Tensor, "to", lambda self, device: self)
    monkeypatch.setattr(timing, "clocks", lambda device: f"{device} clocks")
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    measured = measure_named(
        (str(float_folder), str(tmp_path / "int8")), Grid(device="cuda", sizes=((16, 16),), rounds=1)
    )
    assert [(r.runtime, r.cuda_graphs, r.median_ms, r.fastest) for r in measured.rows[:3]] == [
        ("eager", None, 40.0, False),
        ("inductor", True, 10.0, True),
        ("inductor", False, 20.0, False),
    ]
    assert {r.missing for r in measured.rows[3:]} == {"torch has no INT8 convolution on CUDA; runtime tensorrt has"}
    assert measured.conditions == "cuda clocks right after; TF32 in FP32 convolutions on"


def test_an_artifact_is_exported_once_or_for_every_size_that_a_file_needs(
    calls: Calls, float_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported: list[tuple[str, tuple[int, int]]] = []

    def runtime(name: str) -> object:
        def export(network: nn.Module, path: Path, size: tuple[int, int]) -> None:
            exported.append((name, size))
            path.write_text(json.dumps(size))

        return SimpleNamespace(unavailable=lambda device: None, export=export)

    def opened(path: Path) -> Known:
        height, width = json.loads(path.read_text())
        return Known("file", (height, width) if path.suffix == ".pte" else None)

    monkeypatch.setattr(timing, "file_runtime", runtime)
    monkeypatch.setattr("recipes.measuring.file_runtime", runtime)
    monkeypatch.setattr("compress.target.open_deployable", opened)
    sizes = ((16, 16), (16, 24))
    grid = Grid(("executorch", "onnxruntime", "executorch"), sizes, batches=(1, 2), rounds=1)
    measured = measure_named((str(float_folder),), grid)
    assert exported == [("executorch", sizes[0]), ("onnxruntime", sizes[0]), ("executorch", sizes[1])]
    assert [row.file for row in measured.rows] == ["float.pte", "float.onnx"] * 4
    assert {row.dtype for row in measured.rows} == {"fp32"}


def test_what_cannot_be_timed_has_a_row_with_its_reason(
    calls: Calls, float_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(network: nn.Module, device: str, cuda_graphs: bool) -> None:
        raise RuntimeError("no kernel for it.\nand a long story")

    monkeypatch.setattr(inductor, "wrap", broken)
    grid = Grid(("eager", "tensorrt", "inductor"), sizes=((16, 16), (30, 30)), threads=(1,), rounds=1)
    rows = measure_named((str(float_folder),), grid).rows
    size = "the size must be multiples of 4 from 8 on; got 30x30. Take 32x32"
    gpu = "TensorRT runs on NVIDIA GPUs; use runtime aoti, onnxruntime or openvino on CPUs"
    assert [row.missing for row in rows] == [None, gpu, "no kernel for it", size, gpu, "no kernel for it"]
    assert [row.median_ms is None for row in rows] == [False, True, True, True, True, True]
    assert not any(row.fastest for row in rows)


@pytest.mark.parametrize(
    ("names", "grid", "said"),
    [
        (["a", "a"], Grid(), "networks must be named once each; 'a' is named 2 times"),
        (["photos"], Grid(("inducter",)), "no runtime 'inducter'. Did you mean 'inductor'?"),
        (
            ["photos"],
            Grid(("tensorrt", "eager"), ((30, 30),)),
            "photos must be something that can be timed on cpu with tensorrt; TensorRT runs on NVIDIA GPUs; "
            "use runtime aoti, onnxruntime or openvino on CPUs (and 1 more).",
        ),
    ],
)
def test_mistakes_and_nothing_at_all_are_refused(names: list[str], grid: Grid, said: str) -> None:
    with pytest.raises(UserError) as error:
        measure_named(tuple(names), grid)
    assert said in str(error.value)


def test_the_table_fits_a_terminal_and_json_has_throughput(
    calls: Calls, float_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(timing, "peak_mb", lambda target: 12.345)
    monkeypatch.chdir(float_folder.parent)
    arguments = ["float", "--runtime", "auto", "--runtime", "tensorrt", "--size", "16x24", "--size", "32x32"]
    shown = CliRunner().invoke(measure, [*arguments, "--threads", "2", "--memory"], catch_exceptions=False).output
    lines = [line for line in shown.splitlines() if "NVIDIA" not in line and "in turn" not in line]
    assert max(len(line) for line in lines) <= 80
    assert [line for line in lines if line.startswith("cpu, ")] == [
        f"cpu, 2 threads, 1x3x{size}" for size in ("16x24", "32x32")
    ]
    assert shown.count("float, fp32, inductor *") == 2
    # 1 picture of 16x24 in 20 ms.
    assert ["20.0", "20.0", "20.0", "50.0", "0.0192", "12.3"] in [line.split()[-6:] for line in lines]
    assert shown.count("float, fp32, tensorrt: TensorRT runs on NVIDIA GPUs") == 2

    done = CliRunner().invoke(measure, [*arguments, "--json"], catch_exceptions=False)
    rows = json.loads(done.output)
    assert len(rows) == 6
    assert (rows[1]["pictures_per_s"], rows[1]["megapixels_per_s"]) == pytest.approx((50, 0.0192))
    assert rows[2]["pictures_per_s"] is None
    assert "right after" in rows[0]["conditions"]


def test_the_gpu_benchmark_needs_a_gpu_and_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = Path(timing.__file__).parent.parent / "benchmarks" / "gpu.py"
    main = runpy.run_path(str(path))["main"]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    done = CliRunner().invoke(main, ["--out", str(tmp_path / "gpu.json")])
    assert done.exit_code == 2
    assert done.output == "benchmarks/gpu.py must have a CUDA device; there is none here.\n"
    assert not list(tmp_path.iterdir())
