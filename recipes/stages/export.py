"""The export stage: a deployable file of whatever came before, at the precision it has."""

from compress.quantize import open_artifact
from compress.runtimes.table import RUNTIMES, file_runtime
from compress.settings import ExportSettings
from recipes.stages.stage import StageInput, StageOutcome
from recipes.stages.wiring import parent_of


def run(given: StageInput, settings: ExportSettings) -> StageOutcome:
    """Write the file."""
    network = open_artifact(parent_of(given, "export"))
    path = given.output / f"network{RUNTIMES[settings.runtime].suffix}"
    built_for = file_runtime(settings.runtime).export(network, path, settings.size)
    return StageOutcome(details={"runtime": settings.runtime, "built_for": built_for})
