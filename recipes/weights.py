"""The import-weights command and its inverse: original checkpoints to artifacts and back."""

from pathlib import Path

from baseline.artifact import Artifact, load
from baseline.checksum import file_sha256
from baseline.errors import UserError
from baseline.networks.zoo import default_arguments
from baseline.original_weights import export_original, import_original
from baseline.output import no_artifact_yet, output_folder
from recipes.keys import library_versions
from recipes.resolve import artifact_folder


def import_to(out: Path, file: Path, architecture: str) -> None:
    """Make an artifact of an original checkpoint of the standard size. A UserError if `out` holds one already."""
    no_artifact_yet(out)
    arguments = default_arguments(architecture)
    network = import_original(file, architecture, arguments)
    origin = {
        "stage": "import-weights",
        "file": file.name,
        "sha256": file_sha256(file),
        "versions": library_versions(),
    }
    Artifact(network, architecture, arguments, [origin]).save(output_folder(out))


def export_to(out: Path, name: str) -> dict[str, str]:
    """Write a named network as an original checkpoint; returns what it is, and its size if not the standard one.

    A UserError if `out` is there already.
    """
    if out.suffix != ".pkl":
        raise UserError(f"--out must end in .pkl; got {out}.")
    if out.exists():
        raise UserError(f"{out} must not be there yet; it is. Choose another --out.")
    artifact = load(artifact_folder(name))
    output_folder(out.parent)
    export_original(artifact, out)
    standard = default_arguments(artifact.architecture)
    other = [f"{key} {value}" for key, value in artifact.arguments.items() if value != standard[key]]
    written = {"names of the original": artifact.architecture}
    return written | ({"but not its size:": ", ".join(other)} if other else {})
