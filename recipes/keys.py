"""The keys of cached results: everything that a result depends on, and the code that makes it."""

import hashlib
import importlib.metadata
import json
from typing import Any

from baseline.code_closure import code_sha256, users_code_sha256
from baseline.version import VERSION

_LIBRARIES = (
    "torch",
    "torchao",
    "torch-pruning",
    "numpy",
    "opencv-python",
    "Pillow",
    "fvcore",
    "torchmetrics",
    "accelerate",
)


def key_of(identity: dict[str, Any]) -> str:
    """The key under which the result of something with this identity is kept."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:20]


def code_and_versions(*modules: str, packages: tuple[str, ...] = ()) -> dict[str, Any]:
    """The part of an identity that names the code: of these modules of ours, and of libraries, optional ones too."""
    return {"code": code_sha256(*modules), "versions": library_versions(packages)}


def own_network_sha256(architecture: str | None) -> str | None:
    """The checksum of the code of a user's own network, as far as it has a source; None for our networks."""
    if architecture is None or ":" not in architecture:
        return None
    return users_code_sha256(architecture.partition(":")[0])


def library_versions(optional: tuple[str, ...] = ()) -> dict[str, str]:
    """The versions of this program and of the libraries that results depend on, and of optional ones."""
    return {"lightsharp": VERSION} | {name: importlib.metadata.version(name) for name in (*_LIBRARIES, *optional)}
