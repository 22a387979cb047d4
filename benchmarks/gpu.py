"""Teacher and full-size MIMO-UNet on a GPU, FP32 and FP16, in turn: eager, torch.compile with CUDA graphs and without,
and TensorRT where it is installed.

Speed does not depend on the weights, so the full-size network is untrained. Run on an idle machine with a CUDA device:
    python benchmarks/gpu.py [--rounds 50] [--out benchmarks/results/gpu.json]
"""

import json
import tempfile
from pathlib import Path
from typing import Any

import click
import torch

from baseline.artifact import Artifact, load
from compress.machine import describe_machine
from compress.quantize import Material, quantize
from compress.quantizing_settings import QuantizeSettings
from recipes.plain_table import plain_table
from recipes.resolve import artifact_folder
from recipes.timing import Grid, measure_named, runtime_label

SIZES = ((256, 256), (720, 1280))
"""Height x width."""


@click.command()
@click.option("--rounds", default=50)
@click.option("--out", type=click.Path(path_type=Path), default=Path("benchmarks/results/gpu.json"), show_default=True)
def main(rounds: int, out: Path) -> None:
    """Time all of it in one run, write the record, print the table."""
    if not torch.cuda.is_available():
        click.echo("benchmarks/gpu.py must have a CUDA device; there is none here.", err=True)
        raise SystemExit(2)
    runtimes = ("eager", "inductor", "tensorrt")
    full_size = Artifact.new("mimo-unet", {"width": 32, "num_blocks": 8}, seed=0)
    record = measured(full_size, Grid(runtimes, SIZES, device="cuda", rounds=rounds, memory=True))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(record, indent=1) + "\n")
    show(record)


def measured(full_size: Artifact, grid: Grid) -> dict[str, Any]:
    """The record: a row for each network, precision, runtime and size, with what is missing and why."""
    with tempfile.TemporaryDirectory() as work:
        folders = build({"teacher": load(artifact_folder("photos")), "full size": full_size}, Path(work))
        found = measure_named(tuple(str(folder) for folder in folders.values()), grid)
    names = {str(folder): name for name, folder in folders.items()}
    rows = [
        {
            **row.model_dump(mode="json"),
            "network": names[str(row.network)],
            "pictures_per_s": row.pictures_per_s,
            "megapixels_per_s": row.megapixels_per_s,
        }
        for row in found.rows
    ]
    return {
        "command": "python benchmarks/gpu.py",
        "networks": {
            "teacher": "the shipped teacher, 'photos'",
            "full size": f"MIMO-UNet, {full_size.arguments}, untrained",
        },
        "rounds": grid.rounds,
        "conditions": found.conditions,
        "machine": describe_machine(),
        "rows": rows,
    }


def build(artifacts: dict[str, Artifact], work: Path) -> dict[str, Path]:
    """Each network as an FP32 and an FP16 artifact."""
    noise = [torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(i)) for i in range(4)]
    folders = {}
    for name, artifact in artifacts.items():
        folders[f"{name} fp32"] = work / name.replace(" ", "-") / "fp32"
        artifact.save(folders[f"{name} fp32"])
        folders[f"{name} fp16"] = work / name.replace(" ", "-") / "fp16"
        quantize(artifact, Material(noise, noise), QuantizeSettings(scheme="fp16"), folders[f"{name} fp16"])
    return folders


def show(record: dict[str, Any]) -> None:
    """The record as a table with its conditions."""
    from rich.console import Console

    table = plain_table("network", "size", "median ms", "p10", "p90", "MP/s", "peak MB")
    for row in record["rows"]:
        values = [row[key] for key in ("median_ms", "p10_ms", "p90_ms", "megapixels_per_s", "peak_mb")]
        table.add_row(
            f"{row['network']}, {runtime_label(row['runtime'], row['cuda_graphs'])}",
            "x".join(map(str, row["size"])),
            *("—" if value is None else f"{value:#.3g}" for value in values),
        )
    Console().print(table)
    for reason in sorted({f"{row['runtime']}: {row['missing']}" for row in record["rows"] if row["missing"]}):
        click.echo(reason)
    click.echo(f"{record['rounds']} rounds in turn after warm-up; {record['conditions']}; {record['machine']}")


if __name__ == "__main__":
    main()
