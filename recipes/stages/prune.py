"""The prune stage."""

from baseline.artifact import load
from compress.prune import prune_
from compress.settings import PruneSettings
from recipes.stages.stage import StageInput, StageOutcome
from recipes.stages.wiring import parent_of, remember_


def run(given: StageInput, settings: PruneSettings) -> StageOutcome:
    """Prune and save."""
    artifact = load(parent_of(given, "prune"))
    report = prune_(artifact.network, settings)
    remember_(artifact, "prune", settings, given)
    artifact.save(given.output)
    return StageOutcome(details=report.as_json())
