"""The train command: the train stage, outside of a recipe."""

import json
import shutil
from pathlib import Path

from baseline.data.datasets import open_data
from baseline.distributed import process_number
from baseline.errors import UserError
from baseline.output import no_artifact_yet
from baseline.settings import DataSettings, TrainSettings
from recipes.resolve import artifact_folder
from recipes.stages.stage import STAGES, StageInput

_SETTINGS = "settings.json"


def train_to(out: Path, settings: TrainSettings, start: str | None, chosen: DataSettings) -> None:
    """Train into an artifact's folder. While it runs, `out/training` keeps the checkpoint; it goes at the end.

    A UserError if the folder holds a finished artifact, or a training begun with other settings.
    """
    no_artifact_yet(out)
    scratch = out / "training"
    pictures = chosen.model_dump(mode="json", exclude={"cache_mb"})
    asked = json.dumps([settings.model_dump(mode="json"), start, pictures], sort_keys=True)
    main = process_number() == 0
    if main and (scratch / _SETTINGS).exists() and (scratch / _SETTINGS).read_text() != asked:
        raise UserError(
            f"{scratch} must hold a training with these settings; it holds another. Finish it, or choose another --out."
        )
    parent = None if start is None else artifact_folder(start)
    data = open_data(chosen)
    scratch.mkdir(exist_ok=True)
    if main:
        (scratch / _SETTINGS).write_text(asked)
    outcome = STAGES["train"].run(StageInput(parent, None, data, out, scratch), settings)
    if main:
        (out / "training.json").write_text(json.dumps(outcome.as_json(), indent=1) + "\n")
        shutil.rmtree(scratch)
