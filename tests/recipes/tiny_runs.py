"""Recipes that run in seconds: a teacher that is trained in one, two pictures, no files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from reports.record import Report

Run = Callable[..., Any]

TINY = {"width": 8, "num_blocks": 1}
TEACHER = {
    "network": "mimo-unet",
    "arguments": TINY,
    "steps": 2,
    "batch": 2,
    "crop": 32,
    "workers": 0,
}
MEASURE = {"size": [64, 64], "pictures": 2, "rounds": 1, "devices": ["cpu"], "runtimes": ["eager"]}
SMALL = {"batch": 2, "crop": 32, "workers": 0}


def recipe(folder: Path, variants: dict[str, Any], **parts: Any) -> Path:
    """A recipe file whose teacher is trained in a second."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {"description": "tiny", "teacher": {"train": TEACHER}, "measure": MEASURE, "variants": variants} | parts
    (folder / "tiny.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    return folder


def report_of(folder: Path, run: str = "runs/tiny") -> Report:
    return Report.model_validate_json((folder / run / "report.json").read_text())
