"""The classic U-Net beside MIMO-UNet: equal MACs, data, steps and seeds; quality, convergence and edge sharpness.

The article claims faster convergence and 15 to 20% sharper edges for MIMO-UNet. Trainings go on where they were killed:
    python benchmarks/unet_comparison.py [--steps 3000] [--work runs/unet_comparison] \\
        [--out benchmarks/results/unet_comparison.json]
writes the record, and beside it the plot of PSNR against steps as .svg.
"""

import json
from pathlib import Path
from typing import Any

import click
import matplotlib
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from baseline.artifact import Artifact
from baseline.data.datasets import open_data
from baseline.data.pairs import DataSet
from baseline.evaluate import Unchanged, mean_psnr, score
from baseline.losses import supervised
from baseline.restorer import NetworkRestorer
from baseline.settings import DataSettings, FitSettings
from baseline.trainer import fit
from compress.cost import count_macs, parameters
from compress.machine import describe_machine

matplotlib.use("svg")

NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "MIMO-UNet": ("mimo-unet", {"width": 8, "num_blocks": 4}),
    "classic U-Net": ("unet", {"width": 11, "num_blocks": 3}),
}
"""Equal to 0.2% in MACs at 256x256."""


@click.command()
@click.option("--steps", default=3000)
@click.option("--crop", default=64)
@click.option("--seeds", default=2)
@click.option("--rates", default="4e-4,8e-4", help="Learning rates to choose from, for each network on val, seed 0.")
@click.option("--threads", default=1)
@click.option("--work", type=click.Path(path_type=Path), default=Path("runs/unet_comparison"))
@click.option("--out", type=click.Path(path_type=Path), default=Path("benchmarks/results/unet_comparison.json"))
def main(steps: int, crop: int, seeds: int, rates: str, threads: int, work: Path, out: Path) -> None:
    """Train both with every seed, score on the test pairs, print a table with conditions."""
    torch.set_num_threads(threads)
    data = open_data(DataSettings())
    rows = []
    for name, (architecture, arguments) in NETWORKS.items():
        tried = {}
        for lr in map(float, rates.split(",")):
            settings = FitSettings(steps=steps, crop=crop, lr=lr, workers=0, validate_every=steps // 10)
            tried[lr] = trained(name, architecture, arguments, settings, data, work)
        lr = max(tried, key=lambda rate: val_psnr(tried[rate]))
        for seed in range(seeds):
            settings = FitSettings(steps=steps, crop=crop, lr=lr, workers=0, validate_every=steps // 10, seed=seed)
            found = trained(name, architecture, arguments, settings, data, work)
            rows.append(found | {"rates_tried_val_psnr_db": {f"{r:g}": val_psnr(one) for r, one in tried.items()}})
    blurred = summary(score(Unchanged(), data.test))
    record = {
        "data": "shipped photographs, synthetic shake; not comparable with GoPro",
        "steps": steps,
        "crop": crop,
        "threads": threads,
        "machine": describe_machine(),
        "blurred": blurred,
        "rows": rows,
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(record, indent=1) + "\n")
    plot(record, out.with_suffix(".svg"))
    show(record)


def trained(
    name: str, architecture: str, arguments: dict[str, Any], settings: FitSettings, data: DataSet, work: Path
) -> dict[str, Any]:
    """One training, from its checkpoint or its result if it is done, and its scores on the test pairs."""
    shape = "-".join(map(str, arguments.values()))
    folder = work / f"{architecture}-{shape}-{settings.lr:g}-{settings.seed}-{settings.steps}-{settings.crop}"
    result = folder / "result.json"
    if result.exists():
        done: dict[str, Any] = json.loads(result.read_text())
        return done
    network = Artifact.new(architecture, arguments, settings.seed).network
    macs = count_macs(network, (256, 256))[0]
    assert data.val is not None
    val = data.val

    def validate(average: torch.nn.Module) -> float:
        return mean_psnr(NetworkRestorer(average.eval()), val)

    report = fit(network, data.training_crops(settings.crop), supervised(settings.loss), settings, folder, validate)
    found = {
        "network": name,
        "architecture": architecture,
        "arguments": arguments,
        "params": parameters(network),
        "macs": macs,
        "lr": settings.lr,
        "seed": settings.seed,
        "minutes": report.minutes,
        "curve": [point for point in report.curve if "val_psnr_db" in point],
        "test": summary(score(NetworkRestorer(network), data.test)),
    }
    result.write_text(json.dumps(found, indent=1))
    return found


def val_psnr(row: dict[str, Any]) -> float:
    """The best validation of a training, whose weights are kept."""
    return max(float(point["val_psnr_db"]) for point in row["curve"])


def summary(scores: list[Any]) -> dict[str, float]:
    """The means over the test pairs."""
    keys = ("psnr_db", "ssim", "edge_sharpness")
    return {key: float(np.mean([getattr(score, key) for score in scores])) for key in keys}


def plot(record: dict[str, Any], path: Path) -> None:
    """Validation PSNR against steps, a line a training."""
    from matplotlib import pyplot

    pyplot.rcParams["svg.hashsalt"] = "lightsharp"
    figure, axes = pyplot.subplots(figsize=(7, 4))
    for row in record["rows"]:
        points = [(point["step"], point["val_psnr_db"]) for point in row["curve"]]
        colour = "tab:blue" if row["architecture"] == "mimo-unet" else "tab:orange"
        label = f"{row['network']}, seed {row['seed']}"
        axes.plot(*zip(*points, strict=True), color=colour, linestyle="--" if row["seed"] else "-", label=label)
    axes.set(xlabel="steps", ylabel="PSNR on the val pairs, dB", title="Equal MACs, data, steps and batch")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def show(record: dict[str, Any]) -> None:
    """The table, and what the article claims beside what came out."""
    columns = ("network", "params", "GMACs", "rate", "seed", "min", "PSNR dB", "SSIM", "edges")
    table = Table(*columns, title=f"{record['steps']} steps, batch 8 of {record['crop']}-pixel crops")
    for row in record["rows"]:
        test = row["test"]
        cost = (row["network"], f"{row['params'] / 1e6:.2f} M", f"{row['macs'] / 1e9:.2f}", f"{row['lr']:g}")
        quality = (f"{test['psnr_db']:.2f}", f"{test['ssim']:.4f}", f"{test['edge_sharpness']:.3f}")
        table.add_row(*cost, str(row["seed"]), f"{row['minutes']:.0f}", *quality)
    blurred = record["blurred"]
    table.add_section()
    texts = (f"{blurred['psnr_db']:.2f}", f"{blurred['ssim']:.4f}", f"{blurred['edge_sharpness']:.3f}")
    table.add_row("blurred input", *[""] * 5, *texts)
    Console().print(table)
    edges = {
        name: np.mean([row["test"]["edge_sharpness"] for row in record["rows"] if row["network"] == name])
        for name in NETWORKS
    }
    change = edges["MIMO-UNet"] / edges["classic U-Net"] - 1
    click.echo(f"edge sharpness, MIMO-UNet against the U-Net: {change:+.1%} (the article claims +15 to +20%)")
    click.echo(f"machine: {record['machine'].get('cpu', '')}, {record['threads']} thread(s)")


if __name__ == "__main__":
    main()
