"""Restoring from Python: arrays in, arrays out, with any network that the command line knows."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from baseline.artifact import read_manifest
from baseline.bounded import BoundedRestorer
from baseline.budget import free_memory
from baseline.checksum import file_sha256
from baseline.errors import UserError
from baseline.restorer import Restorer
from compress.runtimes.table import files_of
from recipes.keys import code_and_versions, key_of, own_network_sha256
from recipes.networks import open_named
from recipes.resolve import artifact_folder, is_deployable
from recipes.selective import CALIBRATION_FILE, made_selective


def restore(
    picture: NDArray[Any],
    network: str | Path | Restorer = "photos-partly",
    *,
    runtime: str = "eager",
    memory: int | None = None,
    keep_gain: float | None = None,
) -> NDArray[Any]:
    """Restore one picture, H,W,3 (RGB), H,W,1 or H,W, of 8 or 16 bits, and return one of the same kind.

    `network` is a shipped name, an artifact's folder, a deployable's file, or what `recipes.networks.open_named`
    returned: open it once for many pictures. `memory` are bytes over what the process holds, by default three
    quarters of what is free. `keep_gain`, such as 0.95, restores only where that keeps this share of the full gain; the
    network must then be given by its name, whose calibration is kept. A UserError if the picture is of another kind, or
    the memory too small.
    """
    if not isinstance(network, str | Path) and not callable(network):
        raise UserError(f"the network must be a name, a path or an opened one; got {network!r}.")
    if memory is not None and not (isinstance(memory, int) and memory > 0):
        raise UserError(f"memory must be a number of bytes above 0; got {memory!r}.")
    restorer = open_named(str(network), runtime) if isinstance(network, str | Path) else network
    if not isinstance(picture, np.ndarray):
        raise UserError(f"the picture must be an array of uint8 or uint16; got {type(picture).__name__}.")
    channels = picture[..., None] if picture.ndim == 2 else picture
    kind = channels.ndim == 3 and channels.shape[2] in (1, 3) and channels.dtype in (np.uint8, np.uint16)
    if not kind or channels.size == 0:
        raise UserError(
            f"the picture must be H,W,3, H,W,1 or H,W of uint8 or uint16; got {picture.shape} of {picture.dtype}."
        )
    bounded = BoundedRestorer(restorer, memory or free_memory())
    if keep_gain is not None:
        if not isinstance(network, str | Path):
            raise UserError("keep_gain must come with a network by its name; got an opened one. Give its name or path.")
        return made_selective(bounded, str(network), keep_gain)(channels).reshape(picture.shape)
    return bounded(channels).reshape(picture.shape)


def network_key(network: str, **settings: Any) -> str:
    """A checksum of a network's files, of settings and of the code: what was restored with the same is the same."""
    return key_of({"files": _file_sums(network), "settings": settings} | code_and_versions("recipes.restoring_files"))


def _file_sums(network: str) -> list[str | None]:
    """The checksums of a network's files and, of a user's own network, of its code."""
    if is_deployable(network):
        return [file_sha256(file) for file in files_of(Path(network))]
    folder = artifact_folder(network)
    files = [file for file in sorted(folder.iterdir()) if file.is_file() and not file.name.startswith(".")]
    sums = [file_sha256(file) for file in files if file.name != CALIBRATION_FILE]
    return [*sums, own_network_sha256(read_manifest(folder).architecture)]
