"""Where the time of an INT8 network goes, operator by operator: the `.pt2` file beside OpenVINO on the same graph.

`rounded late` is the `.pt2` without `compress.early`: joined and resized in float, and rounded then.

    python benchmarks/int8_gap.py [--width 32] [--blocks 8] [--size 256] [--threads 1] [--rounds 10]

The network is untrained, since speed does not depend on the weights. Both are profiled call by call, in turn; the sum
of the operators is set beside the time of whole calls, so that what no operator accounts for shows, too.
"""

import json
import os
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any
from unittest import mock

import click
import numpy as np
import torch
import torch._inductor.config
from rich.console import Console
from rich.table import Table
from runtimes import artifacts

from compress.machine import describe_machine
from compress.quantize import open_artifact
from compress.runtimes import aoti, openvino

LATE = "aoti, rounded late"
OUT = Path("benchmarks/results/int8_gap.json")
KINDS = {
    "integer convolutions": ("qconv", "Convolution"),
    "float convolutions": ("conv", "Deconvolution"),
    "joining, resizing, pixel shuffles": (
        "_cat",
        "unsafe_index",
        "pixel_shuffle",
        "Concat",
        "Interpolate",
        "DepthToSpace",
    ),
    "copies and changes of layout": ("aten::copy", "aten::clone", "aten::empty", "Reorder", "Reshape", "Slice"),
    "rounding, sums, products": ("quantize", "_add", "_mul", "FakeQuantize", "Convert", "Add", "Multiply", "Relu"),
}
"""By kind: what the name of an operator of either runtime holds. The first kind that fits counts: compiled code does
several things in one operator."""

SHOWN = (("ms", 1), ("count", 0))
"""Of each runtime, with so many digits."""

Row = dict[str, Any]

Profile = dict[str, list[float]]
"""By the operator's name: milliseconds in a call, and how many there were."""


@click.command()
@click.option("--work", type=click.Path(path_type=Path), default=Path("runs/int8_gap"))
@click.option("--width", default=32)
@click.option("--blocks", default=8)
@click.option("--size", default=256)
@click.option("--threads", default=1, help="At 1, the operators' times add up to the whole.")
@click.option("--rounds", default=10)
def main(work: Path, width: int, blocks: int, size: int, threads: int, rounds: int) -> None:
    """Profile, print and write the record."""
    work.mkdir(parents=True, exist_ok=True)
    artifacts(work, width, blocks)
    network = open_artifact(work / "int8")
    files = {LATE: work / "late.pt2", "aoti": work / "int8.pt2", "openvino": work / "int8.xml"}
    with torch._inductor.config.patch({"cpp.enable_kernel_profile": True}):
        if not files["aoti"].is_file():
            aoti.export(network, files["aoti"], (size, size))
        if not files[LATE].is_file():
            with mock.patch.object(aoti, "quantize_early_"):
                aoti.export(network, files[LATE], (size, size))
    if not files["openvino"].is_file():
        openvino.export(network, files["openvino"], (size, size))
    load_before = os.getloadavg()[0]
    torch.set_num_threads(threads)
    picture = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0))
    whole, profiles = profiled(files, picture, threads, rounds)
    rows = [row(kind, profiles) for kind in [*KINDS, "other"]]
    record = {
        "network": f"MIMO-UNet, width {width}, {blocks} blocks, untrained, INT8",
        "input": f"1x3x{size}x{size}",
        "threads": threads,
        "rounds": rounds,
        "load_before": load_before,
        "machine": describe_machine(),
        "whole_ms": whole,
        "kinds": rows,
        "operators": profiles,
    }
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(record, indent=1) + "\n")
    show(record)


def profiled(
    files: dict[str, Path], picture: torch.Tensor, threads: int, rounds: int
) -> tuple[dict[str, float], dict[str, Profile]]:
    """The median milliseconds of whole calls, and of every operator its mean milliseconds and number a call."""
    calls: dict[str, Callable[[], Profile]] = {
        LATE: compiled_call(files[LATE], picture),
        "aoti": compiled_call(files["aoti"], picture),
        "openvino": openvino_call(files["openvino"], picture, threads),
    }
    for call in calls.values():
        call()
    whole: dict[str, list[float]] = defaultdict(list)
    sums: dict[str, Profile] = {name: defaultdict(lambda: [0.0, 0.0]) for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            found = call()
            whole[name].append(1e3 * (time.perf_counter() - start))
            for operator, (ms, count) in found.items():
                sums[name][operator][0] += ms / rounds
                sums[name][operator][1] += count / rounds
    return {name: median(times) for name, times in whole.items()}, {name: dict(found) for name, found in sums.items()}


def compiled_call(path: Path, picture: torch.Tensor) -> Callable[[], Profile]:
    """Restores once under torch's profiler."""
    restorer = aoti.open_file(path)

    def call() -> Profile:
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
            restorer(picture)
        return {e.key: [e.self_cpu_time_total / 1e3, e.count] for e in profiler.key_averages() if e.self_cpu_time_total}

    return call


def openvino_call(path: Path, picture: torch.Tensor, threads: int) -> Callable[[], Profile]:
    """Restores once with OpenVINO's own counters."""
    import openvino as runtime

    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads, "PERF_COUNT": True}
    request = runtime.Core().compile_model(path, "CPU", settings).create_infer_request()
    given = np.ascontiguousarray(picture.numpy())

    def call() -> Profile:
        request.infer([given])
        found: Profile = defaultdict(lambda: [0.0, 0.0])
        for info in request.profiling_info:
            took = info.real_time.total_seconds()
            if took:
                named = found[f"{info.node_type} {info.exec_type}"]
                named[0] += 1e3 * took
                named[1] += 1
        return dict(found)

    return call


def row(kind: str, profiles: dict[str, Profile]) -> Row:
    """Milliseconds and number of the operators of one kind, on both."""
    found: Row = {"kind": kind}
    for name, profile in profiles.items():
        own = [both for operator, both in profile.items() if kind_of(operator) == kind]
        found |= {f"{name}_ms": sum(ms for ms, _ in own), f"{name}_count": sum(count for _, count in own)}
    return found


def kind_of(operator: str) -> str:
    """The kind that an operator's name says."""
    return next((kind for kind, words in KINDS.items() if any(word in operator for word in words)), "other")


def show(record: Row) -> None:
    """The record as a table with its conditions."""
    rows, whole = record["kinds"], record["whole_ms"]
    table = Table("kind", *(f"{name} {what}" for name in whole for what in ("ms", "operators")))
    for r in rows:
        table.add_row(r["kind"], *(f"{r[f'{n}_{what}']:.{digits}f}" for n in whole for what, digits in SHOWN))
    table.add_row("all", *(text for name in whole for text in (f"{sum(r[f'{name}_ms'] for r in rows):.1f}", "")))
    Console().print(table)
    click.echo(f"whole calls under the profilers, median ms: {whole}")
    for key in ("network", "input", "threads", "rounds", "load_before", "machine"):
        click.echo(f"{key}: {record[key]}")


if __name__ == "__main__":
    main()
