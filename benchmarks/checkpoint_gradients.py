"""What gradient checkpointing saves in memory and costs in time: training steps of the full-size MIMO-UNet on a CPU.

Peak memory is that of a process of its own (ru_maxrss), so each setting runs in a fresh one; they run in turn. Time is
CPU time on one thread, which other programs disturb less than they do the clock on the wall.
    python benchmarks/checkpoint_gradients.py [--batch 1] [--out benchmarks/results/checkpoint_gradients.json]
"""

import json
import os
import resource
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from statistics import median
from typing import Any

import click
import torch
from rich.console import Console
from rich.table import Table
from torch.nn import functional as F

from baseline.losses import at_scale_of
from baseline.networks.checkpointing import checkpointed_gradients
from baseline.networks.zoo import build
from baseline.restorer import outputs_of
from compress.machine import describe_machine

SETTINGS = ("kept", "recomputed")


@click.command()
@click.option("--network", default="mimo-unet")
@click.option("--batch", default=1)
@click.option("--crop", default=256, help="Side of the square crops.")
@click.option("--steps", default=3, help="Timed steps of each, after one to warm up.")
@click.option("--rounds", default=3, help="Processes of each setting, in turn.")
@click.option("--alone", type=click.Choice(SETTINGS), hidden=True, help="Measure this setting in this process.")
@click.option("--out", type=click.Path(path_type=Path), help="Also write the record here.")
def main(network: str, batch: int, crop: int, steps: int, rounds: int, alone: str | None, out: Path | None) -> None:
    """Measure both settings in turn and print a table with conditions."""
    if alone is not None:
        click.echo(json.dumps(training_steps(network, batch, crop, steps, recomputed=alone == "recomputed")))
        return
    load_before = os.getloadavg()[0]
    taken: dict[str, list[dict[str, float]]] = {name: [] for name in SETTINGS}
    sizes = ["--network", network, "--batch", str(batch), "--crop", str(crop), "--steps", str(steps)]
    for _ in range(rounds):
        for name in SETTINGS:
            command = [sys.executable, __file__, *sizes, "--alone", name]
            done = subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=True, capture_output=True)
            taken[name].append(json.loads(done.stdout))
    rows = [
        {"inner_results": name, **{key: median(r[key] for r in taken[name]) for key in taken[name][0]}}
        for name in SETTINGS
    ]
    record = {
        "network": network,
        "input": f"{batch}x3x{crop}x{crop}",
        "step": "forward, L1 loss at each scale, backward, AdamW; FP32, 1 thread",
        "processes": rounds,
        "timed_steps": steps,
        "load_before": load_before,
        "machine": describe_machine(),
        "rows": rows,
        "memory_of_a_step_saved": 1 - rows[1]["step_mb"] / rows[0]["step_mb"],
        "peak_memory_saved": 1 - rows[1]["peak_mb"] / rows[0]["peak_mb"],
        "times_the_cpu_time": rows[1]["step_cpu_s"] / rows[0]["step_cpu_s"],
    }
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(record, indent=1) + "\n")
    show(record)


def training_steps(name: str, batch: int, crop: int, steps: int, recomputed: bool) -> dict[str, float]:
    """Peak memory of this process in MB, what of it came with the steps, and the median CPU seconds of a step."""
    torch.manual_seed(0)
    network = build(name, {}).train()
    optimizer = torch.optim.AdamW(network.parameters())
    blurred, sharp = torch.rand(2, batch, 3, crop, crop)
    before_mb = peak_mb()
    seconds = []
    with checkpointed_gradients(network) if recomputed else nullcontext():
        for _ in range(1 + steps):
            started = time.process_time()
            terms = [F.l1_loss(output, at_scale_of(sharp, output)) for output in outputs_of(network, blurred)]
            torch.stack(terms).sum().backward()
            optimizer.step()
            optimizer.zero_grad()
            seconds.append(time.process_time() - started)
    return {"peak_mb": peak_mb(), "step_mb": peak_mb() - before_mb, "step_cpu_s": median(seconds[1:])}


def peak_mb() -> float:
    """The largest resident memory of this process so far, in MB; Linux states it in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def show(record: dict[str, Any]) -> None:
    """The record as a table with its conditions."""
    table = Table("inner results", "peak MB", "of these for the steps", "CPU seconds a step")
    for row in record["rows"]:
        table.add_row(
            row["inner_results"], f"{row['peak_mb']:.0f}", f"{row['step_mb']:.0f}", f"{row['step_cpu_s']:.2f}"
        )
    Console().print(table)
    click.echo(
        f"recomputing saves {record['memory_of_a_step_saved']:.0%} of the memory of a step "
        f"({record['peak_memory_saved']:.0%} of the process's) "
        f"and takes {record['times_the_cpu_time']:.2f} times the CPU time"
    )
    click.echo(f"{record['network']}; {record['input']}; {record['step']}; median of {record['processes']} processes")
    click.echo(f"load average before: {record['load_before']}; machine: {record['machine']}")


if __name__ == "__main__":
    main()
