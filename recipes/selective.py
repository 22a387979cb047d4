"""Restoring where there is blur: what was fitted for a network lies beside it."""

from pathlib import Path

from baseline.checksum import file_sha256
from baseline.errors import UserError
from baseline.output import write_whole
from baseline.progress import console, progress
from baseline.restorer import Restorer
from baseline.selective import SelectiveRestorer
from baseline.selective_fit import SelectiveFit, fit_selective, load_fit, pictures_to_see
from compress.runtimes.table import files_of
from recipes.resolve import artifact_folder, is_deployable

DEFAULT_SHARE = 0.95


def selective_for(network: str, restorer: Restorer, share: float) -> SelectiveRestorer:
    """The restorer made selective, keeping that share of the gain; fitted now if it never was."""
    if not 0.5 <= share < 1:
        raise UserError(f"--keep-gain must be a share from 0.5 to below 1; got {share}. Usual is {DEFAULT_SHARE}.")
    fit = _fit(network, restorer)
    return SelectiveRestorer(restorer, fit.model, fit.aim_for(share))


def fit_path(network: str) -> Path:
    """Where a network's fit lies: in its artifact's folder, or beside its file."""
    return Path(f"{network}.selective.json") if is_deployable(network) else artifact_folder(network) / "selective.json"


def _fit(network: str, restorer: Restorer) -> SelectiveFit:
    path, key = fit_path(network), _weights_key(network)
    found = load_fit(path, key)
    if found is not None:
        return found
    with progress("fitting where to restore, once for this network", pictures_to_see()) as steps:
        made = fit_selective(restorer, steps)
    try:
        write_whole(path, made.as_text(key))
    except OSError as error:
        console.print(f"not kept for the next time: {path}: {error.strerror}", highlight=False)
    return made


def _weights_key(network: str) -> str:
    path = Path(network) if is_deployable(network) else artifact_folder(network) / "weights.safetensors"
    return file_sha256(files_of(path)[-1] if is_deployable(network) else path)
