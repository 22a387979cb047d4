"""What a stage reads and what it gives: from an input artifact and typed settings to files and numbers."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from baseline.data.pairs import DataSet
    from recipes.store import Store


@dataclass(frozen=True)
class StageInput:
    """What a stage may read, and where it writes.

    `parent` is the artifact that came before (None at the start of a chain), `teacher` the root teacher's. What is to
    stay goes to `output`; `scratch` outlives a kill, so that a training resumes, and goes when the stage ends. What is
    slow to find out and serves several stages is kept in `store`, if there is one. `float_parent` is the last float
    artifact of the chain: `parent` itself, or what it was quantized from; None if the chain has none.
    """

    parent: Path | None
    teacher: Path | None
    data: DataSet
    output: Path
    scratch: Path
    store: Store | None = None
    float_parent: Path | None = None


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
