"""Six files of three runtimes timed together against each alone, and one beside a load: does anything disturb a clock?

First the files, which may be built beside other work; then, on an idle machine, the times:
    python benchmarks/clocks.py build [--network photos] [--work runs/clocks_benchmark]
    python benchmarks/clocks.py time  [--repeats 3] [--rounds 20] [--out benchmarks/results/clocks.json]
Ends with 1 unless all files are within 5% of what they take alone and the latency beside the load is noisy.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import click
import psutil
from rich.console import Console
from rich.table import Table

from baseline.artifact import load
from baseline.data.datasets import open_data
from baseline.errors import UserError
from baseline.settings import DataSettings
from compress.latency import Latency, Untimed, time_in_turn
from compress.machine import describe_machine
from compress.quantize import open_artifact, quantize
from compress.quantizing_settings import QuantizeSettings
from compress.runtimes.table import RUNTIMES, file_runtime
from compress.target import Target
from recipes.resolve import artifact_folder
from recipes.stages.quantize import material

NAMED = ("aoti", "onnxruntime", "openvino")
PRECISIONS = ("fp32", "int8")
LIMIT = 0.05
"""How far the time of a file together with others may be from what it takes alone."""
BUSY = "while True: pass"

Times = dict[str, Latency]

work_option = click.option("--work", type=click.Path(path_type=Path), default=Path("runs/clocks_benchmark"))
size_option = click.option("--size", default=256, help="Side of the square image.")


@click.group()
def main() -> None:
    """Clocks that must not disturb each other."""


@main.command()
@work_option
@size_option
@click.option("--network", default="photos")
def build(work: Path, size: int, network: str) -> None:
    """Write the files, unless they are there."""
    for precision in PRECISIONS:
        folder = artifact_of(work, network, precision)
        for runtime in NAMED:
            path = work / f"{precision}{RUNTIMES[runtime].suffix}"
            if not path.is_file():
                file_runtime(runtime).export(open_artifact(folder), path, (size, size))
                click.echo(path)


def artifact_of(work: Path, network: str, precision: str) -> Path:
    """The network as it is, or quantized."""
    source, folder = artifact_folder(network), work / precision
    if precision == "fp32":
        return source
    if not (folder / "model.json").is_file():
        settings = QuantizeSettings(scheme=precision, calibration="minmax", crops=4)
        quantize(load(source), material(open_data(DataSettings()), settings), settings, folder)
    return folder


@main.command("time")
@work_option
@size_option
@click.option("--repeats", default=3, help="Of all, in the order of the names and in the reverse.")
@click.option("--rounds", default=20)
@click.option("--out", type=click.Path(path_type=Path), help="Also write the record here.")
def time_(work: Path, size: int, repeats: int, rounds: int, out: Path | None) -> None:
    """Time all together and each alone, in both orders; then one beside a busy process for each core."""
    targets = {f"{r} {p}": target(work, r, p, size) for r in NAMED for p in PRECISIONS}
    together: list[Times] = []
    alone: list[Times] = []
    for repeat in range(repeats):
        for names in (list(targets), list(targets)[::-1]):
            together.append(timed({name: targets[name] for name in names}, rounds))
            alone.append({name: timed({name: targets[name]}, rounds)[name] for name in names})
        click.echo(f"repeat {repeat + 1} of {repeats}", err=True)
    name = next(iter(targets))
    with busy(psutil.cpu_count() or 1):
        loaded = timed({name: targets[name]}, rounds)[name]
    record = {
        "conditions": f"1x3x{size}x{size}, {repeats} repeats in both orders, {rounds} calls or more of each",
        "machine": describe_machine(),
        "rows": [row(name, together, alone) for name in targets],
        "beside_load": {"file": name, **asdict(loaded)},
    }
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(record, indent=1) + "\n")
    show(record)
    holds = all(abs(row["together_over_alone"] - 1) <= LIMIT for row in record["rows"]) and loaded.noise.noisy
    sys.exit(0 if holds else 1)


def target(work: Path, runtime: str, precision: str, size: int) -> Target:
    path = work / f"{precision}{RUNTIMES[runtime].suffix}"
    return Target(str(path), runtime, size=(size, size))


def timed(targets: dict[str, Target], rounds: int) -> Times:
    """The latencies; a UserError if one is missing."""
    taken = {}
    for name, found in time_in_turn(targets, rounds).items():
        if isinstance(found, Untimed):
            raise UserError(f"{name} must be timed; {found.reason}.")
        taken[name] = found
    return taken


def row(name: str, together: list[Times], alone: list[Times]) -> dict[str, Any]:
    """Every median of a file, what its time together is of that alone, and which reasons made any of them noisy."""
    medians = {key: [t[name].median_ms for t in times] for key, times in (("together", together), ("alone", alone))}
    kinds = {reason.kind for times in (*together, *alone) for reason in times[name].noise.reasons}
    return {
        "file": name,
        "together_ms": medians["together"],
        "alone_ms": medians["alone"],
        "together_over_alone": median(medians["together"]) / median(medians["alone"]),
        "noisy": sum(times[name].noise.noisy for times in (*together, *alone)),
        "reasons": sorted(kinds),
    }


@contextmanager
def busy(count: int) -> Iterator[None]:
    """So many processes that compute meanwhile."""
    processes = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def show(record: dict[str, Any]) -> None:
    """The record as a table with its conditions."""
    table = Table("file", "together ms", "alone ms", "together / alone", "noisy")
    for found in record["rows"]:
        ranges = [
            f"{median(ms):.2f} [{min(ms):.2f}, {max(ms):.2f}]" for ms in (found["together_ms"], found["alone_ms"])
        ]
        noisy = f"{found['noisy']} of {2 * len(found['alone_ms'])} {' '.join(found['reasons'])}".strip()
        table.add_row(found["file"], *ranges, f"{found['together_over_alone']:.3f}", noisy)
    Console().print(table)
    loaded = record["beside_load"]
    reasons = ", ".join(f"{reason['kind']} {reason['value']:.0%}" for reason in loaded["noise"]["reasons"])
    verdict = f"noisy ({reasons})" if loaded["noise"]["noisy"] else "calm"
    click.echo(f"{loaded['file']} beside a busy process for each core: {loaded['median_ms']:.2f} ms, {verdict}")
    click.echo(f"median [least, most] of all repeats; {record['conditions']}; {record['machine']}")


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
