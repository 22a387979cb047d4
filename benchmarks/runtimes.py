"""Every runtime and precision of the full-size, untrained MIMO-UNet on a CPU: files, timed in turn in one run.

Speed does not depend on the weights, so the network is untrained and calibrated on noise. First the files, which take a
while and may be built beside other work; then, on an idle machine, the times:
    python benchmarks/runtimes.py build [--width 32] [--blocks 8] [--size 256] [--work runs/runtimes_benchmark]
    python benchmarks/runtimes.py time  [--rounds 15] [--out benchmarks/results/runtimes.json]
"""

import json
import os
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from baseline.artifact import Artifact, load
from baseline.errors import UserError
from compress.deployable import export_checked
from compress.graph import deployed_graph, used_bytes
from compress.latency import Latency, Untimed, time_in_turn
from compress.machine import describe_machine
from compress.quantize import Material, dtype_of, open_artifact, quantize
from compress.quantizing_settings import QuantizeSettings
from compress.runtimes.table import RUNTIMES, device_of_files, file_runtime, runtime_of, size_mb
from compress.target import Target

PRECISIONS: dict[str, dict[str, Any] | None] = {
    "fp32": None,
    "fp16": {"scheme": "fp16"},
    "int8": {"scheme": "int8"},
    "int8-sums": {"scheme": "int8", "sums": "int8"},
}
NOTES = "files.json"

work_option = click.option("--work", type=click.Path(path_type=Path), default=Path("runs/runtimes_benchmark"))


@click.group()
def main() -> None:
    """Runtimes and precisions."""


@main.command()
@work_option
@click.option("--width", default=32)
@click.option("--blocks", default=8)
@click.option("--size", default=256, help="Side of the square picture.")
def build(work: Path, width: int, blocks: int, size: int) -> None:
    """Quantize, and export for every runtime that is here; goes on where it was stopped."""
    work.mkdir(parents=True, exist_ok=True)
    notes: dict[str, Any] = json.loads((work / NOTES).read_text()) if (work / NOTES).is_file() else {"files": {}}
    notes |= {"network": f"MIMO-UNet, width {width}, {blocks} blocks, untrained", "size": size}
    artifacts(work, width, blocks)
    for runtime in (name for name in RUNTIMES if RUNTIMES[name].suffix):
        for precision in PRECISIONS:
            name = f"{runtime} {precision}"
            if name in notes["files"]:
                continue
            notes["files"][name] = one_file(work, runtime, precision, size)
            (work / NOTES).write_text(json.dumps(notes, indent=1))
            click.echo(f"{name}: {notes['files'][name]}")


def artifacts(work: Path, width: int, blocks: int) -> None:
    """The untrained network in every precision."""
    noise = [torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(i)) for i in range(4)]
    if not (work / "fp32" / "model.json").is_file():
        Artifact.new("mimo-unet", {"width": width, "num_blocks": blocks}, seed=0).save(work / "fp32")
    for precision, settings in PRECISIONS.items():
        if settings is not None and not (work / precision / "model.json").is_file():
            quantize(load(work / "fp32"), Material(noise, noise), QuantizeSettings(**settings), work / precision)


def one_file(work: Path, runtime: str, precision: str, size: int) -> dict[str, Any]:
    """What was written and proved, or why it was not."""
    reason = file_runtime(runtime).unavailable(RUNTIMES[runtime].devices[0])
    if reason:
        return {"missing": reason}
    path = work / f"{precision}{RUNTIMES[runtime].suffix}"
    network = open_artifact(work / precision, device_of_files(runtime))
    try:
        made = export_checked(network, runtime, dtype_of(work / precision), path, (size, size))
    except UserError as error:
        return {"missing": str(error)}
    return {"file": path.name, **made.as_json(), "code_mb": code_mb(path, network, size)}


def code_mb(path: Path, network: nn.Module, size: int) -> float | None:
    """Megabytes of compiled code, for files that hold some: the weights are linked into the same library."""
    if path.suffix != ".pt2":
        return None
    with zipfile.ZipFile(path) as archive:
        libraries = sum(info.file_size for info in archive.infolist() if info.filename.endswith(".so"))
    return (libraries - used_bytes(deployed_graph(network, torch.zeros(1, 3, size, size)))) / 1e6


@main.command("time")
@work_option
@click.option("--rounds", default=15)
@click.option("--out", type=click.Path(path_type=Path), help="Also write the record here.")
def time_(work: Path, rounds: int, out: Path | None) -> None:
    """Time all files in turn at 2 threads and at 1; print a table with conditions."""
    load_before = os.getloadavg()[0]
    notes = json.loads((work / NOTES).read_text())
    size = notes["size"]
    files = {name: work / note["file"] for name, note in notes["files"].items() if "file" in note}
    rows = []
    for threads in (2, 1):
        taken = timed_files(files, (size, size), threads, rounds)
        rows += [
            {
                "threads": threads,
                "file": name,
                "file_mb": size_mb(files[name]),
                **asdict(latency),
                "faster_than_own_fp32": taken[f"{name.split()[0]} fp32"].median_ms / latency.median_ms,
                "faster_than_fastest_fp32": fastest(taken, "fp32") / latency.median_ms,
            }
            for name, latency in taken.items()
        ]
    record = {
        "network": notes["network"],
        "input": f"1x3x{size}x{size}",
        "rounds": rounds,
        "load_before": load_before,
        "machine": describe_machine(),
        "rows": rows,
        "files": notes["files"],
    }
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(record, indent=1) + "\n")
    show(record)


def timed_files(files: dict[str, Path], size: tuple[int, int], threads: int, rounds: int) -> dict[str, Latency]:
    """The latencies of all files, in turn; a UserError if one cannot be timed."""
    targets = {n: Target(str(path), runtime_of(path.suffix), size=size, threads=threads) for n, path in files.items()}
    taken = {}
    for name, timed in time_in_turn(targets, rounds).items():
        if isinstance(timed, Untimed):
            raise UserError(f"{name} must be timed; {timed.reason}.")
        taken[name] = timed
    return taken


def fastest(taken: dict[str, Latency], precision: str) -> float:
    """The least median of all runtimes at one precision."""
    return float(min(latency.median_ms for name, latency in taken.items() if name.split()[1] == precision))


def show(record: dict[str, Any]) -> None:
    """The record as a table with its conditions."""
    table = Table("threads", "file", "MB", "median ms", "p10", "p90", "x own FP32", "x fastest FP32", "noisy")
    for row in record["rows"]:
        numbers = [f"{row[key]:.1f}" for key in ("median_ms", "p10_ms", "p90_ms")]
        noisy = ", ".join(reason["kind"] for reason in row["noise"]["reasons"])
        ratios = [f"{row[key]:.2f}" for key in ("faster_than_own_fp32", "faster_than_fastest_fp32")]
        table.add_row(str(row["threads"]), row["file"], f"{row['file_mb']:.2f}", *numbers, *ratios, noisy)
    Console().print(table)
    for name, note in record["files"].items():
        if "missing" in note:
            click.echo(f"{name}: not there: {note['missing']}")
    how = f"files in turn, each in a process of its own, {record['rounds']} calls or more"
    click.echo(f"{record['network']}; {record['input']}; {how}")
    click.echo(f"load average before: {record['load_before']}; machine: {record['machine']}")


if __name__ == "__main__":
    main()
