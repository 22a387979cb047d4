"""What a name on the command line or in a recipe stands for: a shipped network, an artifact's folder, a deployable."""

from pathlib import Path

import baseline
from baseline.errors import UserError, unknown_name
from baseline.networks.zoo import NETWORKS

SHIPPED = {
    "photos": "the shipped teacher: MIMO-UNet of width 16 and 4 blocks, trained on the shipped photographs",
    "photos-partly": "the teacher gone on with photographs that are blurred in part or not at all: for real pictures",
}
_SHIPPED_FOLDER = Path(baseline.__path__[0]) / "shipped"
_FOLDERS = {"photos": _SHIPPED_FOLDER / "teacher", "photos-partly": _SHIPPED_FOLDER / "teacher-partly"}


_LINK = "artifact"
"""What a run calls the link to a variant's artifact, in the variant's folder."""


def artifact_folder(name: str) -> Path:
    """The folder of a shipped network's name or of an artifact; a UserError with the nearest name if there is none."""
    if name in SHIPPED:
        return _FOLDERS[name]
    path = Path(name)
    if path.is_dir():
        # The folder of a run's variant stands for the artifact that it links to.
        return path if (path / "model.json").exists() or not (path / _LINK).is_dir() else path / _LINK
    if name in NETWORKS or ":" in name:
        raise UserError(
            f"the network must be a trained one; {name} would be built anew. Train it first: lightsharp train "
            f"--network {name} --out FOLDER, and give FOLDER."
        )
    if len(path.parts) > 1:
        raise UserError(f"{name} must be an artifact's folder; there is none. Make one with lightsharp train or run.")
    error = unknown_name("network", name, SHIPPED)
    raise UserError(f"{error} Or give an artifact's folder.")


def plain_name(name: str) -> str:
    """What a network's files are named after: a shipped name, a run's variant, or the artifact's folder as typed."""
    path = Path(name)
    if path.name == _LINK and path.is_symlink():
        return path.parent.resolve().name
    return path.name if path.name not in ("", "..") else path.resolve().name


def is_shipped(folder: Path) -> bool:
    """Whether an artifact's folder is one of those that come with the program."""
    return folder.resolve() in {shipped.resolve() for shipped in _FOLDERS.values()}


def is_deployable(name: str) -> bool:
    """Whether a name stands for a deployable's file rather than for an artifact."""
    return Path(name).is_file()
