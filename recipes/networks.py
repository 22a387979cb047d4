"""Networks by name for commands that look at them: shipped, an artifact, a registered one, or a user's own factory."""

from typing import Any

from baseline.artifact import Artifact, load
from baseline.errors import UserError
from baseline.networks.zoo import NETWORKS
from recipes.resolve import artifact_folder


def network_named(name: str, arguments: dict[str, Any]) -> Artifact:
    """The artifact, or a new network with random weights of a registered name or `package.module:factory`."""
    if name in NETWORKS or ":" in name:
        return Artifact.new(name, arguments, seed=0)
    if arguments:
        raise UserError(f"--arguments must go with a network that is built anew; {name} has its own. Leave them out.")
    return load(artifact_folder(name))
