"""What `ls` lists: every table of choices, without importing torch."""

from collections.abc import Callable

from baseline.data.augment import AUGMENTATIONS
from baseline.data.datasets import DATASETS
from baseline.errors import unknown_name
from baseline.networks.zoo import NETWORKS
from baseline.presets import PRESETS
from compress.calibration import CALIBRATIONS
from compress.criteria import CRITERIA
from compress.quantize import SCHEMES
from compress.runtimes.table import RUNTIMES
from compress.students import STUDENTS
from compress.widths import ALLOCATIONS
from recipes.parse import parse_yaml
from recipes.resolve import SHIPPED
from recipes.schema import shipped_recipes
from recipes.stages.table import STAGES


def _recipes() -> dict[str, str]:
    return {name: parse_yaml(path.read_text(), name).get("description", "") for name, path in shipped_recipes().items()}


LISTS: dict[str, Callable[[], dict[str, str]]] = {
    "recipes": _recipes,
    "networks": lambda: NETWORKS.describe() | SHIPPED,
    "students": STUDENTS.describe,
    "datasets": DATASETS.describe,
    "criteria": CRITERIA.describe,
    "allocations": ALLOCATIONS.describe,
    "calibrations": CALIBRATIONS.describe,
    "schemes": SCHEMES.describe,
    "runtimes": lambda: {name: RUNTIMES[name].about for name in RUNTIMES},
    "presets": lambda: {name: PRESETS[name].about for name in PRESETS},
    "augmentations": AUGMENTATIONS.describe,
    "stages": lambda: {name: STAGES[name].about for name in STAGES},
}


def describe(what: str) -> dict[str, str]:
    """The names of one table, each with a line on what it is; a UserError for a table that is not there."""
    if what not in LISTS:
        raise unknown_name("list", what, LISTS)
    return LISTS[what]()
