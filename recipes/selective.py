"""Restoring only where that gains: a network, made selective by its calibration, which is kept with it."""

from pathlib import Path

from baseline.artifact import read_manifest
from baseline.atomic import write_whole
from baseline.bounded import BoundedRestorer
from baseline.checksum import file_sha256
from baseline.errors import UserError
from baseline.progress import console, progress
from baseline.restorer import Restorer
from baseline.selective.calibration import PICTURES, Calibration, calibrate, load_calibration
from baseline.selective.restoring import SelectiveRestorer
from baseline.selective.score import shipped_model
from compress.runtimes.table import files_of
from recipes.keys import code_and_versions, key_of, own_network_sha256
from recipes.resolve import artifact_folder, is_deployable, is_shipped

KEEP_GAIN = 0.95
"""The share of the full gain that is kept if nothing else is asked."""

CALIBRATION_FILE = "selective.json"

_CODE = (__name__, "recipes.networks")
"""Calibrates, and opens what is calibrated."""


def made_selective(bounded: BoundedRestorer, network: str, share: float = KEEP_GAIN) -> SelectiveRestorer:
    """`bounded`, which restores with that network, made to restore only what keeps the share of the full gain.

    The network is calibrated now if it never was; the calibration is kept in its folder, or beside its file. A
    UserError if the share is none, see `check_share`, or cannot be kept.
    """
    check_share(share)
    calibrated = calibration(network, bounded.restorer)
    return SelectiveRestorer(bounded, shipped_model(), calibrated.price_for(share), calibrated.call)


def check_share(share: float) -> None:
    """A UserError for a share of the gain that is not from 0.5 to below 1."""
    if not isinstance(share, int | float) or not 0.5 <= share < 1:
        raise UserError(f"--keep-gain must be a share from 0.5 to below 1; got {share}. Usual is {KEEP_GAIN}.")


def calibration(network: str, restorer: Restorer) -> Calibration:
    """The calibration that is kept with the network, or else a new one, of `PICTURES` pictures, which is then kept."""
    path, key = calibration_path(network), calibration_key(network)
    found = load_calibration(path, key)
    if found is not None:
        return found
    with progress("calibrating where to restore, once for this network,", PICTURES) as told:
        made = calibrate(restorer, shipped_model(), told)
    try:
        write_whole(path, made.as_text(key))
    except OSError as error:
        console.print(f"not kept for the next time: {path}: {error.strerror}", highlight=False)
    return made


def calibration_path(network: str) -> Path:
    """Where a network's calibration lies: in its artifact's folder, or beside its file."""
    if is_deployable(network):
        return Path(f"{network}.{CALIBRATION_FILE}")
    return artifact_folder(network) / CALIBRATION_FILE


def calibration_key(network: str) -> str:
    """The key of a network's calibration: its weights and the code that calibrates and runs it.

    What is shipped is released together with its calibration: its weights say enough.
    """
    if is_deployable(network):
        return key_of({"weights": file_sha256(files_of(Path(network))[-1])} | code_and_versions(*_CODE))
    folder = artifact_folder(network)
    weights = file_sha256(folder / "weights.safetensors")
    if is_shipped(folder):
        return weights
    own = own_network_sha256(read_manifest(folder).architecture)
    return key_of(
        {"weights": weights, "model": file_sha256(folder / "model.json"), "own_network": own}
        | code_and_versions(*_CODE)
    )
