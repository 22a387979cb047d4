"""What a stage is: a step from an input artifact and typed settings to files and numbers."""

from __future__ import annotations

import importlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from baseline.registry import Registry
from baseline.settings import Settings, TrainSettings
from compress.settings import DistillSettings, ExportSettings, PruneSettings, QuantizeSettings

if TYPE_CHECKING:
    from baseline.data.pairs import DataSet
    from recipes.store import Store


@dataclass(frozen=True)
class StageInput:
    """What a stage may read, and where it writes.

    `parent` is the artifact that came before (None at the start of a chain), `teacher` the root teacher's. What is to
    stay goes to `output`; `scratch` outlives a kill, so that a training resumes, and goes when the stage ends. What is
    slow to find out and serves several stages is kept in `store`, if there is one.
    """

    parent: Path | None
    teacher: Path | None
    data: DataSet
    output: Path
    scratch: Path
    store: Store | None = None


@dataclass
class StageOutcome:
    """The numbers of a stage, kept beside its files."""

    steps: int = 0
    minutes: float = 0.0
    pictures: int = 0
    details: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The numbers as JSON holds them."""
        return asdict(self)


@dataclass(frozen=True)
class Stage:
    """A kind of step. Its module holds `run(given, settings)`; its result depends on the code of `sources`."""

    module: str
    about: str
    settings: type[Settings]
    sources: tuple[str, ...]
    uses_data: bool = False
    depends_on_machine: bool = False

    def run(self, given: StageInput, settings: Settings) -> StageOutcome:
        """Do the step."""
        outcome: StageOutcome = importlib.import_module(self.module).run(given, settings)
        return outcome


STAGES: Registry[Stage] = Registry("stage")
STAGES.register("train")(
    Stage("recipes.stages.train", "train from scratch, or fine-tune", TrainSettings, ("baseline",), uses_data=True)
)
_PRUNING = (
    "prune",
    "clocked",
    "channels",
    "verify",
    "criteria",
    "gates",
    "sensitivity",
    "widths",
    "pricing",
    "layer_latency",
    "cost",
    "settings",
    "latency",
    "graph",
    "half",
    "machine",
    "trial",
)
STAGES.register("prune")(
    Stage(
        "recipes.stages.prune",
        "remove channels",
        PruneSettings,
        ("baseline", *(f"compress/{name}.py" for name in _PRUNING), "compress/runtimes"),
        uses_data=True,
    )
)
TEACHING = tuple(f"compress/{name}.py" for name in ("distill", "lessons", "features", "trial"))
"""The code of a training that has a teacher."""
_WARMING = ("warm_start", "channels", "criteria", "gates")
STAGES.register("distill")(
    Stage(
        "recipes.stages.distill",
        "train a student to give the teacher's outputs",
        DistillSettings,
        ("baseline", *TEACHING, *(f"compress/{name}.py" for name in _WARMING), "compress/students.py"),
        uses_data=True,
    )
)
_OPENING = ("quantize", "int8", "known", "calibration", "percentile", "placing", "phases", "half", "graph", "machine")
OPENING = ("baseline", *(f"compress/{name}.py" for name in _OPENING))
"""The code that opens an artifact as what is deployed."""

STAGES.register("quantize")(
    Stage(
        "recipes.stages.quantize",
        "compute with fewer bits",
        QuantizeSettings,
        (*OPENING, "compress/mixed.py", "compress/aware.py", *TEACHING),
        uses_data=True,
        depends_on_machine=True,
    )
)
_EXPORTING = ("deployable", "onnx_file", "signed", "xnnpack_graph")
STAGES.register("export")(
    Stage(
        "recipes.stages.export",
        "write a file for a runtime; a recipe's runner does so for every variant",
        ExportSettings,
        (*OPENING, *(f"compress/{name}.py" for name in _EXPORTING), "compress/runtimes"),
        depends_on_machine=True,
    )
)
