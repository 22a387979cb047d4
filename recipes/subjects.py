"""What is scored and timed, and what identifies it in the keys of results."""

import importlib.util
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from baseline.artifact import read_manifest
from baseline.checksum import file_sha256
from compress.runtimes.table import RUNTIMES, files_of
from recipes.keys import own_network_sha256


@dataclass(frozen=True)
class Subject:
    """Something to score and time: an artifact's folder (None: the blurred input) and its deployables by runtime.

    `refused` says of other runtimes why they have no file of it.
    """

    name: str
    artifact: Path | None
    files: Mapping[str, Path]
    refused: Mapping[str, str] = field(default_factory=dict)


def artifact_of(subject: Subject) -> Path:
    """The artifact's folder of a subject that has one."""
    if subject.artifact is None:
        raise ValueError(f"'{subject.name}' is the blurred input and has no artifact")
    return subject.artifact


def packages_of(runtimes: Iterable[str]) -> tuple[str, ...]:
    """The optional packages of runtimes, as far as they are here: what has no file because one is not is not run."""
    return tuple(
        dict.fromkeys(p for runtime in runtimes for p in RUNTIMES[runtime].packages if importlib.util.find_spec(p))
    )


def network_checksums(artifact: Path) -> dict[str, str]:
    """The checksums of an artifact and, of a user's own network, of its code."""
    own = own_network_sha256(read_manifest(artifact).architecture)
    return {"artifact": file_sha256(artifact / "model.json")} | ({} if own is None else {"own_network": own})


def checksums(subject: Subject) -> dict[str, str]:
    """Those of its artifact and of each of its deployables, by runtime."""
    artifact = {} if subject.artifact is None else network_checksums(subject.artifact)
    return artifact | {r: " ".join(map(file_sha256, files_of(path))) for r, path in subject.files.items()}
