"""What fine-tuning to text gains on held-out pages, and what it costs on photographs.

The training is `lightsharp train --preset text --from NETWORK`; killed, it goes on where it was:
    python benchmarks/text_domain.py [NETWORK] [--steps 1500] [--work runs/text_domain] \\
        [--out benchmarks/results/text_domain.json]
"""

import json
from pathlib import Path

import click
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from baseline.artifact import load
from baseline.data.datasets import open_data
from baseline.evaluate import PictureScore, Unchanged, score
from baseline.measurement import bootstrap_interval
from baseline.presets import PRESETS
from baseline.restorer import NetworkRestorer, Restorer
from baseline.settings import DataSettings, TrainSettings
from compress.machine import describe_machine
from recipes.resolve import artifact_folder
from recipes.training import train_to


@click.command()
@click.argument("network", default="photos")
@click.option("--steps", type=int, help="Instead of the preset's.")
@click.option("--threads", default=2)
@click.option("--work", type=click.Path(path_type=Path), default=Path("runs/text_domain"))
@click.option("--out", type=click.Path(path_type=Path), default=Path("benchmarks/results/text_domain.json"))
def main(network: str, steps: int | None, threads: int, work: Path, out: Path) -> None:
    """Fine-tune, score before and after on both kinds of pictures, print a table."""
    torch.set_num_threads(threads)
    preset = PRESETS["text"]
    settings = TrainSettings(**preset.settings | ({} if steps is None else {"steps": steps}))
    work = work / f"{Path(network).name}-{settings.steps}"
    if not (work / "training.json").exists():
        train_to(work, settings, network, DataSettings(name="text"))
    restorers: dict[str, Restorer] = {
        "blurred": Unchanged(),
        network: NetworkRestorer(load(artifact_folder(network)).network),
        "fine-tuned to text": NetworkRestorer(load(work).network),
    }
    rows = []
    for name in ("text", "photos"):
        pairs = open_data(DataSettings(name=name)).test
        scores = {restorer: score(restorers[restorer], pairs) for restorer in restorers}
        before, after = scores[network], scores["fine-tuned to text"]
        rows.append(
            {
                "test_pairs": name,
                "psnr_db": {restorer: mean(found) for restorer, found in scores.items()},
                "change_db": mean(after) - mean(before),
                "change_ci95_db": bootstrap_interval(
                    [a.psnr_db - b.psnr_db for a, b in zip(after, before, strict=True)], [a.group for a in after]
                ),
            }
        )
    training = json.loads((work / "training.json").read_text())
    record = {
        "network": network,
        "preset": "text",
        "settings": settings.model_dump(mode="json"),
        "minutes": training["minutes"],
        "machine": describe_machine(),
        "rows": rows,
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(record, indent=1) + "\n")
    table = Table("test pairs", *restorers, "change dB [95% interval]", title=f"PSNR in dB, {settings.steps} steps")
    for row in rows:
        low, high = row["change_ci95_db"]
        change = f"{row['change_db']:+.2f} [{low:+.2f}, {high:+.2f}]"
        table.add_row(row["test_pairs"], *(f"{value:.2f}" for value in row["psnr_db"].values()), change)
    Console().print(table)


def mean(scores: list[PictureScore]) -> float:
    """The mean PSNR in dB."""
    return float(np.mean([one.psnr_db for one in scores]))


if __name__ == "__main__":
    main()
