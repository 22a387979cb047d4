"""The teacher of a stage that trains, and the cache of what it says."""

from collections.abc import Sequence
from pathlib import Path

import torch

from baseline.artifact import load, read_manifest
from baseline.checksum import file_sha256
from baseline.phases import crops_drawn
from baseline.restorer import check_crops
from baseline.settings import FitSettings
from compress.lessons import LessonCache, Teacher
from recipes.keys import code_and_versions, key_of, own_network_sha256
from recipes.stages.given import teacher_folder
from recipes.stages.stage import StageInput


def teacher_for(given: StageInput, stage_name: str, settings: FitSettings, layers: Sequence[str] = ()) -> Teacher:
    """The root teacher, asked for outputs and these features; from a cache where crops repeat and there is a store."""
    folder = teacher_folder(given, stage_name)
    cache = None
    if settings.crop_set is not None and given.store is not None:
        expected = min(settings.crop_set, crops_drawn(settings))
        cache = LessonCache(given.store.folder / "lessons" / _lessons_key(folder, layers), expected)
    network = load(folder).network
    check_crops(settings.crops, network)
    return Teacher(network, layers, cache)


def _lessons_key(teacher: Path, layers: Sequence[str]) -> str:
    """The key of what a teacher says of crops: it depends on all that computes it."""
    manifest = read_manifest(teacher)
    return key_of(
        {
            "teacher": file_sha256(teacher / "model.json"),
            "own_network": own_network_sha256(manifest.architecture),
            "layers": list(layers),
            "device": "cuda" if torch.cuda.is_available() else "cpu",
        }
        | code_and_versions(__name__)
    )
