"""The export stage: a deployable file of whatever came before, at the precision it has, proved before it counts."""

from compress.deployable import export_checked
from compress.exporting_settings import ExportSettings
from compress.quantize import dtype_of, open_artifact
from compress.runtimes.table import RUNTIMES, device_of_files
from recipes.stages.given import parent_of
from recipes.stages.stage import StageInput, StageOutcome


def run(given: StageInput, settings: ExportSettings) -> StageOutcome:
    """Write the file."""
    parent = parent_of(given, "export")
    path = given.output / f"network{RUNTIMES[settings.runtime].suffix}"
    known = given.float_parent
    before = None if known is None or known == parent else open_artifact(known)
    network = open_artifact(parent, device_of_files(settings.runtime))
    deployed = export_checked(network, settings.runtime, dtype_of(parent), path, settings.size, before)
    return StageOutcome(details=deployed.as_json())
