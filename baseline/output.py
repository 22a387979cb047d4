"""Folders to write into, checked before any work."""

import os
from pathlib import Path

from baseline.errors import UserError


def output_folder(path: Path) -> Path:
    """The folder, made if it was not there; a UserError if it cannot be made or written."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{path} must be a folder that can be written; {error.strerror or error}. Choose another --out."
        ) from None
    if not os.access(path, os.W_OK):
        raise UserError(f"{path} must be a folder that can be written; it is read-only. Choose another --out.")
    return path


def no_artifact_yet(folder: Path) -> None:
    """A UserError if the folder holds an artifact, which is not to be written over."""
    if (folder / "model.json").exists():
        raise UserError(f"{folder} must not hold an artifact yet; it does, and stays as it was. Choose another --out.")
