"""What is scored and timed, and what identifies it in the keys of results."""

import importlib.util
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
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


def scored_runtime(subjects: Iterable[Subject], gated: str | None) -> str | None:
    """The runtime whose files all rows of a table are scored and sized as; None if nothing has files.

    That whose latency is `gated`, since one file holds all gates or none does; otherwise the one that has the most
    files, of several the first. Runtimes differ in PSNR, so a row's must not depend on which was faster that day.
    """
    counts = Counter(runtime for subject in subjects for runtime in subject.files)
    return gated if gated in counts else max(counts, key=counts.__getitem__, default=None)


def scored_as(subject: Subject, runtime: str | None) -> Subject:
    """The subject with the deployable of a runtime first, which it is scored and sized as, if it has one."""
    order = sorted(subject.files, key=lambda own: own != runtime)
    return replace(subject, files={own: subject.files[own] for own in order})
