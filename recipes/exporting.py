"""The export command: a network by name becomes deployables."""

import json
from pathlib import Path

from baseline.errors import UserError, unknown_name
from baseline.output import output_folder
from compress.deployable import Deployed, export_checked
from compress.quantize import dtype_of, open_artifact
from compress.runtimes.table import RUNTIMES, device_of_files, files_of
from recipes.pipeline import OUTCOME_FILE
from recipes.resolve import artifact_folder, plain_name

_OTHER_NAMES = {"openvino": "xml", "tensorrt": "engine"}
"""Kinds of files by the names that people know them by."""
_NETWORK_FILES = (
    *(RUNTIMES[name].suffix for name in RUNTIMES),
    *(".bin", ".ckpt", ".pkl", ".pt", ".pth", ".safetensors", ".tflite"),
)
"""What the names of networks' files end in; a folder's name may hold any other dot."""


def targets(name: str, kinds: str, out: Path) -> dict[Path, str]:
    """The files to write and their runtimes, from a list of kinds such as pt2,onnx, and a file or a folder.

    A UserError if a kind is unknown or named twice, or if one file is to hold several.
    """
    by_kind = {str(RUNTIMES[r].suffix).removeprefix("."): r for r in RUNTIMES if RUNTIMES[r].suffix}
    named = [_OTHER_NAMES.get(kind, kind) for kind in (k.strip().removeprefix(".").lower() for k in kinds.split(","))]
    if "original" in named:
        raise UserError("--to original must stand alone; it is an archive for other code. Type it once by itself.")
    for kind in named:
        if kind not in by_kind:
            raise unknown_name("kind of deployable", kind, [*by_kind, *_OTHER_NAMES, "original"])
        if named.count(kind) > 1:
            raise UserError(f"--to must name every kind once; it names {kind} {named.count(kind)} times.")
    if out.suffix in _NETWORK_FILES and not out.is_dir():
        if len(named) > 1 or out.suffix != f".{named[0]}":
            wanted = f"end in .{named[0]}" if len(named) == 1 else "be a folder for several kinds"
            kind = out.suffix.removeprefix(".")
            advice = f" Or add --to {kind}." if len(named) == 1 and kind in by_kind else ""
            raise UserError(f"--out must {wanted}; got {out}.{advice}")
        return {out: by_kind[named[0]]}
    stem = plain_name(name)
    return {out / f"{stem}.{kind}": by_kind[kind] for kind in named}


def export_named(name: str, path: Path, runtime: str, size: tuple[int, int], overwrite: bool = False) -> Deployed:
    """Write one deployable of a named network, and prove it; a UserError if one of its files is there already."""
    folder = artifact_folder(name)
    for file in files_of(path):
        if file.is_dir() or (file.exists() and not overwrite):
            raise UserError(f"{file} must not be there yet; it is. Choose another --out, or add --overwrite.")
    output_folder(path.parent)
    network = open_artifact(folder, device_of_files(runtime))
    return export_checked(network, runtime, dtype_of(folder), path, size)


def told_of(path: Path, deployed: Deployed, folder: Path) -> list[str]:
    """What the command says of a file: its size, what it was built for, and how it agrees with what."""
    dtype = dtype_of(folder)
    own = "the network" if dtype == "fp32" else f"its {dtype} artifact"
    built = ", ".join(f"{key} {value}" for key, value in deployed.built_for.items())
    lines = [f"wrote {path}: {deployed.megabytes:.2f} MB, {built}"]
    lines += [
        f"  in a fresh process, {one.size[0]}x{one.size[1]}: {one.psnr_db:.1f} dB against {own}, "
        f"largest difference {one.largest_difference:.2g}"
        for one in deployed.agreement
    ]
    if deployed.tiles is not None:
        height, width = deployed.tiles.size
        lines.append(
            f"  in tiles, {height}x{width}: {deployed.tiles.psnr_db:.1f} dB against {own} on the whole picture"
        )
    return lines if dtype == "fp32" else [*lines, f"  {_quantized_agreement(folder, dtype)}"]


def _quantized_agreement(folder: Path, dtype: str) -> str:
    """How a quantized artifact agreed with its float network, which it does not hold; a run keeps it beside it."""
    outcome = folder / OUTCOME_FILE
    details = json.loads(outcome.read_text())["details"] if outcome.is_file() else {}
    if (found := details.get("agreement_db")) is None:
        return f"against the float network: not known, since the {dtype} artifact does not hold it"
    return f"its {dtype} artifact against the float network, when it was quantized: {found:.1f} dB on calibration crops"
