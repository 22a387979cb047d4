"""INT8 against FP32 and FP16 as .pt2 files, timed in turn: the full-size, untrained MIMO-UNet on a CPU.

Speed does not depend on the weights, so the network is untrained and calibrated on noise. Run on an idle machine:
    python benchmarks/int8_speed.py [--width 32] [--blocks 8] [--size 256] [--out benchmarks/results/int8_speed.json]
"""

import json
import os
import tempfile
from dataclasses import asdict
from pathlib import Path

import click
import torch
from rich.console import Console
from rich.table import Table

from baseline.artifact import Artifact
from compress.latency import LatencySettings, time_in_turn
from compress.machine import describe_machine
from compress.quantize import open_artifact, quantize
from compress.runtimes.table import file_runtime, open_deployable


@click.command()
@click.option("--width", default=32)
@click.option("--blocks", default=8)
@click.option("--size", default=256, help="Side of the square picture.")
@click.option("--rounds", default=15)
@click.option("--out", type=click.Path(path_type=Path), help="Also write the record here.")
def main(width: int, blocks: int, size: int, rounds: int, out: Path | None) -> None:
    """Build the three files, time them in turn at 2 threads and at 1, print a table with conditions."""
    load_before = os.getloadavg()[0]
    artifact = Artifact.new("mimo-unet", {"width": width, "num_blocks": blocks}, seed=0)
    with tempfile.TemporaryDirectory() as work:
        files = build(artifact, Path(work), size)
        megabytes = {name: path.stat().st_size / 1e6 for name, path in files.items()}
        restorers = {name: open_deployable(path) for name, path in files.items()}
        taken = {
            threads: time_in_turn(restorers, "cpu", LatencySettings((size, size), threads=threads, rounds=rounds))
            for threads in (2, 1)
        }
    rows = [
        {
            "threads": threads,
            "file": name,
            "file_mb": megabytes[name],
            **asdict(latency),
            "faster_than_fp32": latencies["fp32"].median_ms / latency.median_ms,
        }
        for threads, latencies in taken.items()
        for name, latency in latencies.items()
    ]
    record = {
        "network": f"MIMO-UNet, width {width}, {blocks} blocks, untrained",
        "input": f"1x3x{size}x{size}",
        "rounds": rounds,
        "load_before": load_before,
        "machine": describe_machine(),
        "rows": rows,
    }
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(record, indent=1) + "\n")
    show(record)


def build(artifact: Artifact, work: Path, size: int) -> dict[str, Path]:
    """The FP32, FP16 and INT8 files of one network."""
    artifact.save(work / "fp32")
    noise = [torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(i)) for i in range(4)]
    for scheme in ("fp16", "int8"):
        quantize(artifact, noise, scheme, work / scheme)
    files = {name: work / f"{name}.pt2" for name in ("fp32", "fp16", "int8")}
    for name, path in files.items():
        file_runtime("aoti").export(open_artifact(work / name), path, (size, size))
    return files


def show(record: dict[str, object]) -> None:
    """The record as a table with its conditions."""
    table = Table("threads", "file", "MB", "median ms", "p10", "p90", "times as fast as FP32")
    rows = record["rows"]
    if not isinstance(rows, list):
        raise TypeError("rows must be a list")
    for row in rows:
        numbers = (f"{row[key]:.1f}" for key in ("median_ms", "p10_ms", "p90_ms"))
        table.add_row(
            str(row["threads"]), row["file"], f"{row['file_mb']:.2f}", *numbers, f"{row['faster_than_fp32']:.2f}"
        )
    Console().print(table)
    click.echo(f"{record['network']}; {record['input']}; .pt2 files in turn, {record['rounds']} rounds after warm-up")
    click.echo(f"load average before: {record['load_before']}; machine: {record['machine']}")


if __name__ == "__main__":
    main()
