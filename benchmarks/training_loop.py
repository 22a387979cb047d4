"""What the training loop adds to the bare steps, and how much faster than training the loader alone delivers.

Bare: forward, backward of the mean absolute output, and optimizer step of the same network on one kept batch. The loop:
`baseline.trainer.fit` with its loader, loss, clipping, moving average, rate, two logs and a checkpoint; without
validations, which cost what the user asks for. Mean time of a step, in turn, on an idle machine:
    python benchmarks/training_loop.py [--rounds 2] [--out benchmarks/results/training_loop.json]
"""

import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import click
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from baseline.artifact import Artifact
from baseline.data.datasets import open_data
from baseline.data.loader import Batch, batches
from baseline.data.pairs import CropSource
from baseline.losses import supervised
from baseline.restorer import on_device, outputs_of
from baseline.settings import DataSettings, FitSettings
from baseline.trainer import fit
from compress.machine import describe_machine

STEPS = 105
"""So many that `fit` logs twice and writes a checkpoint on the way."""

WARM_UP = 4


@click.command()
@click.option("--width", default=16)
@click.option("--blocks", default=4)
@click.option("--rounds", default=2)
@click.option("--out", type=click.Path(path_type=Path), help="Also write the record here.")
def main(width: int, blocks: int, rounds: int, out: Path | None) -> None:
    """Time both in turn, then the loader alone; print a table with conditions."""
    load_before = os.getloadavg()[0]
    settings = FitSettings(steps=STEPS)
    source = open_data(DataSettings()).training_crops(settings.crop)
    arguments = {"width": width, "num_blocks": blocks}
    taken: dict[str, list[float]] = {"bare": [], "loop": []}
    for _ in range(rounds):
        taken["bare"].append(bare_step_s(arguments, settings))
        taken["loop"].append(loop_step_s(arguments, source, settings))
    loader = loader_batch_s(source, settings)
    loop = statistics.mean(taken["loop"])
    record = {
        "network": f"MIMO-UNet, width {width}, {blocks} blocks, FP32",
        "batch": f"{settings.batch} crops of {settings.crop} pixels, shipped photographs, {settings.workers} worker",
        "threads": torch.get_num_threads(),
        "load_before": load_before,
        "machine": describe_machine(),
        "bare_step_s": taken["bare"],
        "loop_step_s": taken["loop"],
        "loop_adds": statistics.mean(b / a - 1 for a, b in zip(taken["bare"], taken["loop"], strict=True)),
        "loader_batch_s": loader,
        "loader_times_training": loop / loader,
    }
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(record, indent=1) + "\n")
    table = Table("", "s a step", title=f"{record['network']}; {record['batch']}; {record['threads']} threads")
    table.add_row("bare forward + backward + step", f"{statistics.mean(taken['bare']):.3f}")
    table.add_row("training loop", f"{loop:.3f} ({record['loop_adds']:+.1%}, mean of {rounds} rounds in turn)")
    table.add_row("loader alone", f"{loader:.4f} ({record['loader_times_training']:.0f} x as fast as training)")
    Console().print(table)
    click.echo(f"machine: {record['machine']['cpu']}; load before: {load_before:.2f}")


def bare_step_s(arguments: dict[str, int], settings: FitSettings) -> float:
    """The time of a step without anything around it."""
    network = on_device(Artifact.new("mimo-unet", arguments, 0).network.train(), "cpu")
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.lr)
    side = settings.crop
    blurred = torch.rand(settings.batch, 3, side, side).contiguous(memory_format=torch.channels_last)
    ends = [time.perf_counter()]
    for _ in range(STEPS):
        torch.stack([output.abs().mean() for output in outputs_of(network, blurred)]).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        ends.append(time.perf_counter())
    return mean_distance(ends)


def loop_step_s(arguments: dict[str, int], source: CropSource, settings: FitSettings) -> float:
    """The time from step to step of a training."""
    network = Artifact.new("mimo-unet", arguments, 0).network
    with tempfile.TemporaryDirectory() as folder:
        watched, ends = stamped(settings)
        fit(network, source, watched, settings, Path(folder))
    return mean_distance(ends)


def stamped(settings: FitSettings) -> tuple[Callable[[Sequence[Tensor], Batch], dict[str, Tensor]], list[float]]:
    """The loss of a training, and the times at which it is called."""
    times: list[float] = []
    wrapped = supervised(settings.loss)

    def loss(outputs: Sequence[Tensor], batch: Batch) -> dict[str, Tensor]:
        times.append(time.perf_counter())
        return wrapped(outputs, batch)

    return loss, times


def loader_batch_s(source: CropSource, settings: FitSettings) -> float:
    """The time of a batch when nothing but the loader works, without its start."""
    many = settings.model_copy(update={"steps": 4 * STEPS})
    ends = [time.perf_counter() for _ in batches(source, many)]
    return (ends[-1] - ends[STEPS]) / (len(ends) - 1 - STEPS)


def mean_distance(ends: list[float]) -> float:
    """The mean distance of times after the first few."""
    return (ends[-1] - ends[WARM_UP]) / (len(ends) - 1 - WARM_UP)


if __name__ == "__main__":
    main()
