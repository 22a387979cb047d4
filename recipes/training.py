"""The train command: the train stage, outside of a recipe."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from baseline.artifact import check_code, load
from baseline.atomic import remove_leftovers, write_whole
from baseline.data.datasets import open_data
from baseline.data.pairs import DataSet
from baseline.distributed import check_processes, process_number
from baseline.errors import UserError
from baseline.output import no_artifact_yet
from baseline.progress import console
from baseline.settings import DataSettings, TrainSettings
from recipes.fitting import fit_crops
from recipes.pipeline import Pipeline
from recipes.resolve import artifact_folder
from recipes.schema import Step
from recipes.stages.stage import StageInput
from recipes.stages.table import STAGES
from recipes.stages.wiring import new_network
from recipes.store import Store

_IDENTITY = "identity.json"


def train_to(out: Path, settings: TrainSettings, start: str | None, chosen: DataSettings) -> None:
    """Train into an artifact's folder. While it runs, `out/training` keeps the checkpoint; it goes at the end.

    A UserError if the folder holds anything else than this training, begun with other settings, data or start.
    """
    check_processes(settings.processes)
    main = process_number() == 0
    scratch = out / "training"
    if main:
        _check_folder(out, scratch)
    parent = None if start is None else artifact_folder(start)
    if parent is not None:
        check_code(parent)
    data = open_data(chosen)
    settings, notes = _fitted(settings, parent, data)
    data = replace(data, notes=(*data.notes, *notes))
    if main:
        for note in data.notes:
            console.print(note, highlight=False, markup=False, style="dim", soft_wrap=True)
        identity = Pipeline(Store(scratch), data, lambda _: None).identity(
            parent, Step(stage="train", settings=settings)
        )
        _claim(scratch, identity, settings.changeable)
    outcome = STAGES["train"].run(StageInput(parent, None, data, out, scratch), settings)
    if main:
        write_whole(out / "training.json", json.dumps(outcome.as_json(), indent=1) + "\n")
        shutil.rmtree(scratch)


def _fitted(settings: TrainSettings, parent: Path | None, data: DataSet) -> tuple[TrainSettings, list[str]]:
    """The settings, with crops that the network takes and the data has where none were typed, and what to say of it."""
    if "crop" in settings.model_fields_set:
        return settings, []
    if settings.network is not None:
        network = new_network((settings.network, settings.arguments), settings.seed).network
    elif parent is not None:
        network = load(parent).network
    else:
        return settings, []
    return fit_crops(settings, network, None, data)


def _check_folder(out: Path, scratch: Path) -> None:
    """A UserError if there is something in the folder, and it is not a training that was killed."""
    if (scratch / _IDENTITY).exists():
        return
    no_artifact_yet(out)
    if out.is_dir() and any(out.iterdir()):
        raise UserError(f"{out} must be an empty folder or none; it holds files. Choose another --out.")


def _claim(scratch: Path, identity: dict[str, Any], changeable: frozenset[str]) -> None:
    """Note what is trained. A UserError if the checkpoint is that of something else.

    A training may be finished with other versions of the libraries or of this program; its lineage names those. The
    settings in `changeable` may be others, too.
    """
    asked = {key: value for key, value in identity.items() if key not in ("versions", "code")}
    asked["settings"] = {key: value for key, value in asked["settings"].items() if key not in changeable}
    path = scratch / _IDENTITY
    if (scratch / "checkpoint.pt").exists():
        begun = json.loads(path.read_text())
        other = [key for key in asked if begun.get(key) != json.loads(json.dumps(asked[key]))]
        if other:
            raise UserError(
                f"{scratch} must hold this training; its {' and '.join(other)} were others. "
                "Finish it as it was begun, or choose another --out."
            )
    remove_leftovers(scratch)
    write_whole(path, json.dumps(asked))
