"""Doing the stages of a recipe: each under its key, each at most once, finished ones taken from the store."""

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from baseline.artifact import MODEL_FILE, check_code, read_manifest
from baseline.checksum import file_sha256
from baseline.data.pairs import DataSet
from compress.machine import describe_machine
from compress.runtimes.compiler import build_identity
from recipes.failures import FailedBeforeError, reason_of
from recipes.keys import code_and_versions, key_of, own_network_sha256
from recipes.schema import Step
from recipes.stages.stage import StageInput
from recipes.stages.table import STAGES
from recipes.store import Store

OUTCOME_FILE = "outcome.json"
"""The numbers of a stage, beside its files."""

Tell = Callable[[dict[str, Any]], None]
"""Told what happens, for the log."""


@dataclass
class Made:
    """The result of a chain so far: where its files are, the outcome of each of its stages, its last float artifact."""

    folder: Path | None
    outcomes: list[dict[str, Any]] = field(default_factory=list)
    float_folder: Path | None = None


class Pipeline:
    """Runs stages against one store, one data set and one root teacher."""

    def __init__(self, store: Store, data: DataSet, tell: Tell) -> None:
        self.store = store
        self.data = data
        self.teacher: Path | None = None
        self.tell = tell
        self._failed: dict[str, str] = {}

    def chain(self, start: Path | None, steps: Iterable[Step], variant: str) -> Made:
        """Do all steps, each on the result of the one before."""
        made = Made(start, float_folder=_float_artifact(start))
        for step in steps:
            made = self.step(made, step, variant)
        return made

    def step(self, before: Made, step: Step, variant: str) -> Made:
        """One step, from the store if it was done before; a FailedBeforeError if it failed before in this run."""
        before = Made(None) if step.settings.starts_anew else before
        identity = self.identity(before.folder, step, before.float_folder)
        key = key_of(identity)
        if key in self._failed:
            raise FailedBeforeError(self._failed[key])
        entry = self.store.find(key)
        started = time.monotonic()
        if entry is None:
            self.tell({"event": "start", "variant": variant, "stage": step.label(), "key": key})
            entry = self._made(key, identity, before, step)
        else:
            if (entry / MODEL_FILE).is_file():
                check_code(entry)
            self.tell({"event": "reuse", "variant": variant, "stage": step.label(), "key": key})
        outcome = json.loads((entry / OUTCOME_FILE).read_text())
        seconds = round(time.monotonic() - started, 1)
        self.tell({"event": "done", "variant": variant, "stage": step.label(), "key": key, "seconds": seconds})
        outcomes = [*before.outcomes, {"stage": step.label(), "key": key, **outcome}]
        return Made(entry, outcomes, _float_artifact(entry) or before.float_folder)

    def _made(self, key: str, identity: dict[str, Any], before: Made, step: Step) -> Path:
        """The new entry of a step. Only the reason of a failure is kept: its traceback would hold the networks."""
        try:
            return self.store.make(key, identity, lambda output, scratch: self._work(before, step, output, scratch))
        except Exception as error:
            self._failed[key] = reason_of(error)
            raise

    def identity(self, parent: Path | None, step: Step, float_parent: Path | None = None) -> dict[str, Any]:
        """Everything that the result of a step depends on."""
        stage = STAGES[step.stage]
        identity: dict[str, Any] = {
            "stage": step.stage,
            "settings": step.settings.model_dump(mode="json", exclude=set(step.settings.operational)),
            "parent": None if parent is None else file_sha256(parent / "model.json"),
        } | code_and_versions(*stage.modules, packages=step.settings.packages)
        own = {"own_network": _architecture(parent, step)}
        if step.settings.uses_teacher and self.teacher is not None:
            identity["teacher"] = file_sha256(self.teacher / "model.json")
            own["own_teacher"] = read_manifest(self.teacher).architecture
        if stage.uses_float and float_parent is not None:
            identity["float_parent"] = file_sha256(float_parent / MODEL_FILE)
        if stage.uses_data:
            identity["data"] = self.data.manifest
            identity["device"] = "cuda" if torch.cuda.is_available() else "cpu"
        checksums = {name: own_network_sha256(architecture) for name, architecture in own.items()}
        identity |= {name: checksum for name, checksum in checksums.items() if checksum is not None}
        if stage.depends_on_machine or step.settings.depends_on_machine:
            identity["built_on"] = build_identity()
        if step.settings.depends_on_machine:
            identity["timed_on"] = describe_machine()
        return identity

    def _work(self, before: Made, step: Step, output: Path, scratch: Path) -> None:
        given = StageInput(before.folder, self.teacher, self.data, output, scratch, self.store, before.float_folder)
        outcome = STAGES[step.stage].run(given, step.settings)
        (output / OUTCOME_FILE).write_text(json.dumps(outcome.as_json(), indent=1))


def _float_artifact(folder: Path | None) -> Path | None:
    """The folder, if it holds a float artifact."""
    if folder is None or not (folder / MODEL_FILE).is_file():
        return None
    return folder if read_manifest(folder).quantization is None else None


def _architecture(parent: Path | None, step: Step) -> str | None:
    """The architecture that a step works on, by name: of the network it names, or of what came before."""
    if step.begins_with is not None or parent is None:
        return step.begins_with
    return read_manifest(parent).architecture
