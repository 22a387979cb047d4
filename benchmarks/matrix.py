"""Every combination of network, scheme and runtime: it works and agrees with its artifact, or is refused with a reason.

    python benchmarks/matrix.py [--work runs/matrix] [--only TEXT]

Scored on the test pairs, cut to 256x256. What must hold: FP32 outputs equal to 1e-4, FP16 outputs agree to 55 dB, BF16
outputs to 40 dB, and the PSNR of INT8 files on the test pairs within 0.02 dB of their artifact's. Networks other than
the teacher are small, and students untrained: what is looked at is agreement. Finished cells are kept in --work; each
run writes the table as far as it is known, the committed one included: with --only, the others stay as they are.
"""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import torch
from torch import Tensor, nn

from baseline.artifact import Artifact, load
from baseline.data.datasets import open_data
from baseline.data.loader import to_tensor
from baseline.data.pairs import DataSet
from baseline.errors import UserError
from baseline.metrics import psnr
from baseline.restorer import NetworkRestorer, Restorer, restore_any_size
from baseline.settings import DataSettings
from baseline.user_code import VARIABLE
from compress.machine import describe_machine
from compress.prune import prune_
from compress.pruning_settings import PruneSettings
from compress.quantize import SCHEMES, Material, dtype_of, open_artifact, quantize
from compress.quantizing_settings import QuantizeSettings
from compress.runtimes.table import RUNTIMES, file_runtime, memory_runtime, open_deployable
from compress.students import STUDENTS, Plan, student_plan
from recipes.resolve import artifact_folder
from recipes.stages.quantize import material

OUT = Path("benchmarks/results/matrix.json")
SIDE = 256
TINY = {"width": 8, "num_blocks": 1}
SETTINGS: dict[str, dict[str, Any]] = {
    "fp32": {},
    **{scheme: {"scheme": scheme} for scheme in SCHEMES},
    "int8, sums in int8": {"scheme": "int8", "sums": "int8"},
}
"""Every scheme, and what changes the graph of one."""

OWN = '''
import torch
from torch import nn


class Own(nn.Module):
    """A gate by channel halves, a strided and a transposed convolution, a resize, the picture in a concatenation."""

    def __init__(self, width: int = 8):
        super().__init__()
        self.size_multiple = 2
        self.first = nn.Conv2d(3, 2 * width, 3, padding=1)
        self.down = nn.Conv2d(width, width, 3, stride=2, padding=1, groups=2)
        self.up = nn.ConvTranspose2d(width, width, 2, stride=2)
        self.last = nn.Conv2d(width + 3, 3, 3, padding=1)

    def forward(self, image):
        a, b = self.first(image).chunk(2, dim=1)
        features = nn.functional.leaky_relu(self.up(self.down(a * torch.sigmoid(b))), 0.1)
        return image + self.last(torch.cat([image, features], 1))


def make(width: int = 8):
    return Own(width)
'''

Cell = dict[str, Any]


@click.command()
@click.option("--work", type=click.Path(path_type=Path), default=Path("runs/matrix"))
@click.option("--only", default="", help="Cells whose name (network | scheme | runtime) holds this text.")
def main(work: Path, only: str) -> None:
    """Fill in the cells that are not there yet, and write the table."""
    work.mkdir(parents=True, exist_ok=True)
    (work / "own_network.py").write_text(OWN)
    sys.path.insert(0, str(work))
    os.environ[VARIABLE] = "own_network"
    data = open_data(DataSettings())
    pictures = [
        (to_tensor(p.blurred)[None, :, :SIDE, :SIDE], to_tensor(p.sharp)[None, :, :SIDE, :SIDE]) for p in data.test
    ]
    for name, folder in networks(work):
        for scheme in SETTINGS:
            fill(work, (name, scheme), folder, data, pictures, only)
    cells = with_recorded([json.loads(path.read_text()) for path in (work / "cells").glob("*.json")])
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps({"machine": describe_machine(), "cells": cells}, indent=1) + "\n")
    OUT.with_suffix(".md").write_text(as_markdown(cells))
    click.echo(OUT.with_suffix(".md").read_text())


def with_recorded(cells: list[Cell]) -> list[Cell]:
    """The cells, and those of the committed table that are not among them."""
    recorded = json.loads(OUT.read_text())["cells"] if OUT.exists() else []
    by_name = {(cell["network"], cell["scheme"], cell["runtime"]): cell for cell in (*recorded, *cells)}
    return [by_name[name] for name in sorted(by_name, key=lambda name: cell_path(Path(), " | ".join(name)).name)]


def networks(work: Path) -> Iterator[tuple[str, Path]]:
    """The networks by name, as artifacts."""
    yield "teacher", artifact_folder("photos")
    small = ("mimo-unet", TINY)
    for name, plan in {"pruned": small, **students(), "own_network:make": ("own_network:make", {})}.items():
        architecture, arguments = plan
        folder = work / "networks" / name.replace(":", "-")
        if not (folder / "model.json").is_file():
            artifact = Artifact.new(architecture, arguments, seed=0)
            if name == "pruned":
                prune_(artifact.network, PruneSettings(ratio=0.3, criterion="l2", widths="uniform", multiple=1))
            artifact.save(folder)
        yield name, folder


def students() -> dict[str, Plan]:
    """The students that differ in more than width and depth, as they are deployed: branches are folded before.

    Those that train plainly come first, so that they give their name to what others are once they are folded.
    """
    small = ("mimo-unet", TINY)
    found: dict[str, Plan] = {}
    kinds = set()
    for name in sorted(STUDENTS, key=lambda name: student_plan(name, small, {})[1].get("conv") == "branched"):
        architecture, arguments = student_plan(name, small, {})
        conv = arguments.get("conv", "plain").replace("branched", "plain")
        if (architecture, conv) not in kinds:
            found[name] = architecture, arguments | {"conv": conv} if "conv" in arguments else arguments
        kinds.add((architecture, conv))
    return found


def fill(work: Path, row: tuple[str, str], folder: Path, data: DataSet, pictures: list[Any], only: str) -> None:
    """All runtimes of one network and scheme."""
    names = {runtime: " | ".join((*row, runtime)) for runtime in RUNTIMES}
    missing = {r: n for r, n in names.items() if only in n and not cell_path(work, n).is_file()}
    if not missing:
        return
    quantized = work / "artifacts" / f"{row[0].replace(':', '-')}-{row[1].replace(', ', '-').replace(' ', '-')}"
    try:
        artifact = in_precision(row[1], folder, quantized, data)
        expected = scored(NetworkRestorer(open_artifact(artifact)), pictures)
    except UserError as error:
        for name in missing.values():
            keep(work, name, {"refused": str(error)})
        return
    for runtime, name in missing.items():
        click.echo(name, err=True)
        try:
            restorer = restorer_of(open_artifact(artifact, device_of(runtime)), runtime, work / "files")
            keep(work, name, compared(scored(restorer, pictures), expected, pictures, dtype_of(artifact)))
        except UserError as error:
            keep(work, name, {"refused": str(error)})
        except RuntimeError as error:
            # `lightsharp export` meets this in its fresh process, and refuses the file.
            said = (str(error).strip() or "nothing").splitlines()[0]
            keep(work, name, {"refused": f"{runtime} cannot run it; it says: {said[:200]}"})


def in_precision(scheme: str, folder: Path, out: Path, data: DataSet) -> Path:
    """The artifact in a precision, made once."""
    if not SETTINGS[scheme]:
        return folder
    if not (out / "model.json").is_file():
        settings = QuantizeSettings(**SETTINGS[scheme], crops=8, crop=96)
        given = material(data, settings)
        quantize(load(folder), Material(given.blurred, given.sharp, two_steps(given)), settings, out)
    return out


def two_steps(given: Material) -> Any:
    """A training of two steps: the graph of quantization-aware training, with weights that moved."""

    def fit(network: nn.Module) -> None:
        optimizer = torch.optim.SGD(network.parameters(), lr=1e-4)
        for blurred, sharp in zip(given.blurred[:2], given.sharp[:2], strict=True):
            optimizer.zero_grad()
            (network(blurred) - sharp).abs().mean().backward()
            optimizer.step()

    return fit


def device_of(runtime: str) -> str:
    """The CPU, for all runtimes that run on it."""
    return "cpu" if "cpu" in RUNTIMES[runtime].devices else "cuda"


def restorer_of(network: nn.Module, runtime: str, folder: Path) -> Restorer:
    """The network on a runtime; a UserError if that refuses it or is not here."""
    entry, device = RUNTIMES[runtime], device_of(runtime)
    kind = file_runtime(runtime) if entry.suffix else memory_runtime(runtime)
    reason = kind.unavailable(device)
    if reason:
        raise UserError(reason)
    if not entry.suffix:
        return memory_runtime(runtime).wrap(network, device)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"network{entry.suffix}"
    file_runtime(runtime).export(network, path, (SIDE, SIDE))
    return open_deployable(path)


def scored(restorer: Restorer, pictures: list[tuple[Tensor, Tensor]]) -> list[Tensor]:
    """The restored pictures."""
    return [restore_any_size(restorer, blurred).clone() for blurred, _ in pictures]


def compared(outputs: list[Tensor], expected: list[Tensor], pictures: list[Any], dtype: str) -> Cell:
    """Agreement with the artifact's outputs, and whether that is enough."""
    error = sum(float((a - b).square().mean()) for a, b in zip(outputs, expected, strict=True)) / len(outputs)
    largest = max(float((a - b).abs().max()) for a, b in zip(outputs, expected, strict=True))
    own, reference = (
        sum(float(psnr(o, sharp)) for o, (_, sharp) in zip(found, pictures, strict=True)) / len(pictures)
        for found in (outputs, expected)
    )
    agreement_db = -10 * torch.log10(torch.tensor(max(error, 1e-20))).item()
    holds = {
        "fp32": largest <= 1e-4,
        "fp16": agreement_db >= 55,
        "bf16": agreement_db >= 40,
        "int8": abs(own - reference) <= 0.02,
    }[dtype]
    found = {"agreement_db": agreement_db, "largest": largest, "psnr_db": own, "artifact_psnr_db": reference}
    return {"dtype": dtype, "holds": holds, **found}


def cell_path(work: Path, name: str) -> Path:
    """Where a cell is kept."""
    return work / "cells" / (name.replace(" | ", "__").replace(":", "-").replace(", ", "-").replace(" ", "-") + ".json")


def keep(work: Path, name: str, cell: Cell) -> None:
    """Write a finished cell."""
    path = cell_path(work, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    network, scheme, runtime = name.split(" | ")
    beside = path.with_suffix(".part")
    beside.write_text(json.dumps({"network": network, "scheme": scheme, "runtime": runtime, **cell}, indent=1))
    beside.replace(path)


def as_markdown(cells: list[Cell]) -> str:
    """A row a network and scheme, a column a runtime; reasons below."""
    runtimes = list(RUNTIMES)
    by_row: dict[tuple[str, str], dict[str, Cell]] = {}
    for cell in cells:
        by_row.setdefault((cell["network"], cell["scheme"]), {})[cell["runtime"]] = cell
    reasons: list[str] = []
    lines = [f"| network | scheme | {' | '.join(runtimes)} |", f"|{'---|' * (len(runtimes) + 2)}"]
    for (network, scheme), found in sorted(by_row.items(), key=lambda item: item[0][0] != "teacher"):
        shown = [_shown(found.get(runtime), reasons) for runtime in runtimes]
        lines.append(f"| {network} | {scheme} | {' | '.join(shown)} |")
    notes = [f"{number}. {reason}" for number, reason in enumerate(reasons, 1)]
    about = "Agreement with the artifact: largest difference (FP32), dB between outputs (FP16, BF16), for INT8 the "
    about += (
        "PSNR on the test pairs (cut to 256x256) minus the artifact's, in dB. (n): refused, see below. **!**: fails."
    )
    return "\n".join([about, "", *lines, "", *notes]) + "\n"


def _shown(cell: Cell | None, reasons: list[str]) -> str:
    if cell is None:
        return "not run"
    if "refused" in cell:
        if cell["refused"] not in reasons:
            reasons.append(cell["refused"])
        return f"({reasons.index(cell['refused']) + 1})"
    kinds = {
        "fp32": f"{cell['largest']:.0e}",
        "int8": f"{cell['psnr_db'] - cell['artifact_psnr_db']:+.3f} dB",
    }
    return kinds.get(cell["dtype"], f"{cell['agreement_db']:.0f} dB") + ("" if cell["holds"] else " **!**")


if __name__ == "__main__":
    main()
