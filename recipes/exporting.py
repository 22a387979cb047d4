"""The export command: a network by name becomes deployables."""

from pathlib import Path

from baseline.errors import UserError, unknown_name
from baseline.output import output_folder
from compress.deployable import Deployed, export_checked
from compress.quantize import dtype_of, open_artifact
from compress.runtimes.table import RUNTIMES, files_of
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
    return export_checked(open_artifact(folder), runtime, dtype_of(folder), path, size)
