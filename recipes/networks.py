"""Networks by name for commands that look at them: shipped, an artifact, a registered one, or a user's own factory."""

from pathlib import Path
from typing import Any

from baseline.artifact import Artifact, load
from baseline.errors import UserError, unknown_name
from baseline.folding import deployed_form
from baseline.networks.user_networks import is_users
from baseline.networks.zoo import NETWORKS
from baseline.restorer import Restorer
from compress.quantize import open_artifact
from compress.runtimes.table import memory_runtime, open_deployable
from recipes.resolve import SHIPPED, artifact_folder, is_deployable


def is_new_code(name: str) -> bool:
    """Whether a name that was typed is a user's `package.module:factory`, and no folder."""
    return is_users(name) and not Path(name).exists()


def network_named(name: str, arguments: dict[str, Any]) -> Artifact:
    """The artifact, or a new network with random weights of a registered name or `package.module:factory`.

    Either as it is deployed: branches are folded. A folder stands for what is in it, whatever its name.
    """
    if name in NETWORKS or is_new_code(name):
        return deployed_form(Artifact.new(name, arguments, seed=0))
    if name not in SHIPPED and not Path(name).exists():
        error = unknown_name("network", name, {*SHIPPED, *NETWORKS})
        raise UserError(f"{error} Or give an artifact's folder or package.module:factory.")
    if arguments:
        raise UserError(f"--arguments must go with a network that is built anew; {name} has its own. Leave them out.")
    return load(artifact_folder(name))


def open_named(name: str, runtime: str = "eager", device: str = "cpu") -> Restorer:
    """A restorer from a shipped name, an artifact's folder or a deployable's file."""
    if is_deployable(name):
        return open_deployable(Path(name))
    return memory_runtime(runtime).wrap(open_artifact(artifact_folder(name), device), device)
