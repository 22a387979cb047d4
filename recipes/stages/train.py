"""The train stage: a network from scratch, or fine-tuning of what came before."""

from baseline.artifact import load
from baseline.losses import supervised
from baseline.settings import TrainSettings
from recipes.stages.stage import StageInput, StageOutcome
from recipes.stages.wiring import fit_and_save, new_network, parent_of


def run(given: StageInput, settings: TrainSettings) -> StageOutcome:
    """Train and save."""
    if settings.network is None:
        artifact = load(parent_of(given, "train without a network's name"))
    else:
        artifact = new_network((settings.network, settings.arguments), settings.seed)
    return fit_and_save(artifact, supervised(settings.loss), given, settings, "train")
