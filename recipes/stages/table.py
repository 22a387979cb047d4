"""Stages by name. Listing them does not import torch: each has a module of its own."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from baseline.registry import Registry
from baseline.settings import Settings, TrainSettings
from compress.exporting_settings import ExportSettings
from compress.pruning_settings import PruneSettings
from compress.quantizing_settings import QuantizeSettings
from compress.teaching_settings import DistillSettings

if TYPE_CHECKING:
    from recipes.stages.stage import StageInput, StageOutcome

DATA_MODULE = "baseline.data.datasets"
"""Makes the data that a stage is given."""


@dataclass(frozen=True)
class Stage:
    """A kind of step. Its module holds `run(given, settings)`. `uses_float`: it reads the last float artifact."""

    module: str
    about: str
    settings: type[Settings]
    uses_data: bool = False
    depends_on_machine: bool = False
    uses_float: bool = False

    def run(self, given: StageInput, settings: Settings) -> StageOutcome:
        """Do the step."""
        outcome: StageOutcome = importlib.import_module(self.module).run(given, settings)
        return outcome

    @property
    def modules(self) -> tuple[str, ...]:
        """Where the code begins that its result depends on."""
        return (self.module, DATA_MODULE) if self.uses_data else (self.module,)


STAGES: Registry[Stage] = Registry("stage")
STAGES.register("train")(
    Stage("recipes.stages.train", "train from scratch, or fine-tune", TrainSettings, uses_data=True)
)
STAGES.register("prune")(Stage("recipes.stages.prune", "remove channels", PruneSettings, uses_data=True))
STAGES.register("distill")(
    Stage("recipes.stages.distill", "train a student to give the teacher's outputs", DistillSettings, uses_data=True)
)
STAGES.register("quantize")(
    Stage(
        "recipes.stages.quantize",
        "compute with fewer bits",
        QuantizeSettings,
        uses_data=True,
        depends_on_machine=True,
    )
)
STAGES.register("export")(
    Stage(
        "recipes.stages.export",
        "write a file for a runtime; a recipe's runner does so for every variant",
        ExportSettings,
        depends_on_machine=True,
        uses_float=True,
    )
)
