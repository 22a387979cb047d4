"""The export command: a network by name becomes a deployable's file."""

from pathlib import Path

from baseline.errors import UserError
from baseline.output import output_folder
from compress.quantize import open_artifact
from compress.runtimes.table import file_runtime, runtime_of
from recipes.resolve import artifact_folder
from recipes.weights import export_to


def export_named(name: str, suffix: str, size: tuple[int, int], out: Path) -> dict[str, str]:
    """Write a deployable of a named network, or an original checkpoint; returns what it was built for."""
    if suffix == "original":
        return export_to(out, name)
    wanted = f".{suffix.removeprefix('.')}"
    runtime = runtime_of(wanted)
    if out.suffix != wanted:
        raise UserError(f"--out must end in {wanted}; got {out}.")
    folder = artifact_folder(name)
    output_folder(out.parent)
    return file_runtime(runtime).export(open_artifact(folder), out, size)
