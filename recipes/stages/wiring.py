"""What several stages do alike: begin a network, fit it and save it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from baseline.artifact import Artifact
from baseline.data.loader import Batch, fixed_crops
from baseline.distributed import process_number
from baseline.errors import UserError
from baseline.evaluate import mean_psnr
from baseline.folding import folded_if_same, has_branches, largest_difference
from baseline.losses import Loss
from baseline.phases import crops_drawn
from baseline.restorer import NetworkRestorer
from baseline.settings import FitSettings
from baseline.trainer import FitReport, fit
from compress.cost import parameters
from compress.rewriting import LEFT_OUT
from compress.trial import must_restore
from recipes.stages.given import remember_
from recipes.stages.stage import StageInput, StageOutcome

if TYPE_CHECKING:
    from compress.students import Plan


def new_network(plan: Plan, seed: int) -> Artifact:
    """The untrained network that a stage begins with; a UserError if it cannot be built, restore or be trained."""
    made = Artifact.new(*plan, seed)
    if not any(parameter.requires_grad for parameter in made.network.parameters()):
        raise UserError(f"network '{plan[0]}' must have weights to train; it has none. Choose another.")
    must_restore(made.network)
    return made


def fit_and_save(
    artifact: Artifact,
    loss: Loss,
    given: StageInput,
    settings: FitSettings,
    stage_name: str,
    trained: nn.Module | None = None,
) -> StageOutcome:
    """Fit an artifact's network on the data's training crops, watched on its validation pairs, and save it.

    `trained` is the module that is fitted where it is more than the network, which is a part of it. Where the weights
    that are kept are not the last, those are saved in `last`.
    """
    trained = trained or artifact.network
    if has_branches(artifact.network):
        # What does not say how it is folded is refused before it is trained.
        folded_if_same(artifact, some_crops(given, settings, 1).blurred)
    report = fitted(trained, loss, given, settings)
    remember_(artifact, stage_name, settings, given)
    found = {
        "curve": report.curve,
        "kept_step": report.kept_step,
        "precisions": report.precisions,
        "peak_memory_mb": round(report.peak_memory_mb),
        "data_notes": list(given.data.notes),
    }
    if process_number() == 0:
        found |= _save_folded(artifact, given.output, given, settings)
        if report.last is not None:
            trained.load_state_dict(report.last)
            _save_folded(artifact, given.output / "last", given, settings)
    return StageOutcome(report.steps, report.minutes, crops_drawn(settings), details=found)


def some_crops(given: StageInput, settings: FitSettings, count: int) -> Batch:
    """A few training crops to look at, as large as the training's, which its networks take."""
    crop = max(settings.crops)
    return fixed_crops(given.data.training_crops(crop), count, crop, settings.seed)


def _save_folded(artifact: Artifact, folder: Path, given: StageInput, settings: FitSettings) -> dict[str, Any]:
    """Save an artifact, its branches folded if that is the same function; returns what there is to say of that."""
    if not has_branches(artifact.network):
        artifact.save(folder)
        return {}
    crops = some_crops(given, settings, 4).blurred
    artifact.network.cpu()
    plain, reason = folded_if_same(artifact, crops)
    plain.save(folder)
    if reason is not None:
        return {LEFT_OUT: [f"folding of branches: left out, since {reason}"]}
    apart = largest_difference(artifact.network, plain.network, crops)
    return {"folded": {"largest_difference": apart, "training_params": parameters(artifact.network)}}


def fitted(network: nn.Module, loss: Loss, given: StageInput, settings: FitSettings) -> FitReport:
    """Fit a network in place on the data's training crops, watched on its validation pairs."""
    val = given.data.val
    return fit(
        network,
        given.data.training_crops(max(settings.crops)),
        loss,
        settings,
        given.scratch,
        validate=None if val is None else lambda network: mean_psnr(NetworkRestorer(network.eval()), val),
        tracking=given.output / "tracking",
    )
