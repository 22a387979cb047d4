"""The train stage: a network from scratch, or fine-tuning of what came before."""

from baseline.artifact import Artifact, load
from baseline.losses import supervised
from baseline.networks.growing import grow_
from baseline.settings import TrainSettings
from recipes.stages.given import parent_of
from recipes.stages.stage import StageInput, StageOutcome
from recipes.stages.wiring import fit_and_save, new_network


def run(given: StageInput, settings: TrainSettings) -> StageOutcome:
    """Train and save."""
    if settings.network is None:
        artifact = load(parent_of(given, "train without a network's name"))
        if settings.arguments:
            artifact = _deeper(artifact, settings)
    else:
        artifact = new_network((settings.network, settings.arguments), settings.seed)
    return fit_and_save(artifact, supervised(settings.loss), given, settings, "train")


def _deeper(before: Artifact, settings: TrainSettings) -> Artifact:
    deeper = new_network((before.architecture, before.arguments | settings.arguments), settings.seed)
    grow_(deeper.network, before.network)
    deeper.lineage = before.lineage
    return deeper
