"""Scoring what a recipe made: each subject once for a data set."""

import json
from dataclasses import asdict
from pathlib import Path

from baseline.data.loader import to_picture, to_tensor
from baseline.data.pairs import DataSet, PairSet
from baseline.data.pictures import write_picture
from baseline.evaluate import PictureScore, Unchanged, score
from baseline.restorer import Restorer, restore_any_size
from compress.quantize import open_artifact
from compress.runtimes.table import memory_runtime, open_deployable
from recipes.keys import code_and_versions, key_of
from recipes.store import Store
from recipes.subjects import Subject, checksums, packages_of

_SAMPLES = 3


def sample_names(pairs: PairSet) -> list[str]:
    """The names of the test pictures that are kept as files: a few, evenly spread over the set."""
    count = min(_SAMPLES, len(pairs))
    return [pairs.names[(2 * i + 1) * len(pairs) // (2 * count)] for i in range(count)]


def score_cached(store: Store, subject: Subject, data: DataSet, pairs: PairSet) -> tuple[list[PictureScore], Path]:
    """The scores of every pair, and the folder of sample pictures, computed once for a subject and a data set."""
    identity = {
        "evaluate": None if subject.artifact is None else checksums(subject),
        "as": how_scored(subject),
        "data": data.manifest,
        "pictures": len(pairs),
    } | code_and_versions(__name__, "baseline.data.datasets", packages=packages_of(subject.files))

    def work(output: Path, _: Path) -> None:
        restorer = scored_restorer(subject)
        rows = [asdict(row) for row in score(restorer, pairs)]
        (output / "scores.json").write_text(json.dumps(rows, indent=1))
        for pair in pairs.only(sample_names(pairs)):
            restored = restore_any_size(restorer, to_tensor(pair.blurred)[None])[0]
            path = output / "pictures" / f"{pair.name}.webp"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_picture(to_picture(restored), path)

    key = key_of(identity)
    entry = store.find(key) or store.make(key, identity, work)
    rows = json.loads((entry / "scores.json").read_text())
    return [PictureScore(**row) for row in rows], entry / "pictures"


def scored_restorer(subject: Subject) -> Restorer:
    """What a subject is scored as: its first deployable, or the network in memory if it has none."""
    if subject.artifact is None:
        return Unchanged()
    for path in subject.files.values():
        return open_deployable(path)
    return memory_runtime("eager").wrap(open_artifact(subject.artifact), "cpu")


def how_scored(subject: Subject) -> str:
    """What a subject is scored as, in words."""
    if subject.artifact is None:
        return "as it is"
    return next((f"as its {runtime} file" for runtime in subject.files), "in memory (eager), no file")
