"""Counting what a recipe made: each artifact once."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from baseline.artifact import read_manifest, rebuild
from compress.cost import cost, weight_bytes
from compress.quantize import open_artifact
from recipes.keys import code_and_versions, key_of
from recipes.store import Store
from recipes.subjects import network_checksums


def cost_cached(store: Store, artifact: Path, size: tuple[int, int]) -> dict[str, Any]:
    """Parameters, MACs and bytes of an artifact's deployed graph, counted once."""
    identity = {
        "cost": network_checksums(artifact),
        "size": size,
    } | code_and_versions(__name__)

    def work(output: Path, _: Path) -> None:
        counted = cost(rebuild(read_manifest(artifact)), size)
        stored = {**asdict(counted), "weight_bytes": weight_bytes(open_artifact(artifact), counted.params)}
        (output / "cost.json").write_text(json.dumps(stored, indent=1))

    key = key_of(identity)
    entry = store.find(key) or store.make(key, identity, work)
    counted: dict[str, Any] = json.loads((entry / "cost.json").read_text())
    return counted
