"""How far the INT8 file of a network agrees with its FP32 outputs on the shipped test pairs.

python benchmarks/int8_agreement.py [NETWORK] [--out benchmarks/results/int8_agreement.json]
"""

import json
import tempfile
from pathlib import Path

import click
import torch

from baseline.artifact import load
from baseline.data.datasets import open_data
from baseline.data.loader import to_tensor
from baseline.restorer import NetworkRestorer, restore_any_size
from baseline.settings import DataSettings
from compress.quantize import open_artifact, quantize
from compress.quantizing_settings import QuantizeSettings
from compress.runtimes.table import file_runtime, open_deployable
from recipes.resolve import artifact_folder
from recipes.stages.quantize import material


@click.command()
@click.argument("network", default="photos")
@click.option("--out", type=click.Path(path_type=Path), help="Also write the record here.")
def main(network: str, out: Path | None) -> None:
    """Quantize and export, then compare raw outputs (not rounded) picture by picture."""
    data = open_data(DataSettings())
    artifact = load(artifact_folder(network))
    settings = QuantizeSettings(scheme="int8")
    with tempfile.TemporaryDirectory() as work:
        quantize(artifact, material(data, settings), settings, Path(work) / "int8")
        path = Path(work) / "int8.pt2"
        file_runtime("aoti").export(open_artifact(Path(work) / "int8"), path, (256, 256))
        int8, fp32 = open_deployable(path), NetworkRestorer(artifact.network)
        agreement = {}
        for pair in data.test:
            blurred = to_tensor(pair.blurred)[None]
            one, other = (restore_any_size(restorer, blurred).clamp(0, 1) for restorer in (int8, fp32))
            agreement[pair.name] = -10 * torch.log10((one - other).square().mean()).item()
    values = sorted(agreement.values())
    record = {"network": network, "mean_db": sum(values) / len(values), "lowest_db": values[0], "pictures": agreement}
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(record, indent=1) + "\n")
    click.echo(
        f"{network}: INT8 .pt2 against FP32, {len(values)} test pairs: mean {record['mean_db']:.1f} dB, "
        f"lowest {record['lowest_db']:.1f} dB"
    )


if __name__ == "__main__":
    main()
