"""The prune stage. Crops come from the data's training part; sensitivity curves are measured once and kept."""

import json
from pathlib import Path

from torch import nn

from baseline.artifact import load, read_manifest
from baseline.checksum import file_sha256
from baseline.data.loader import Batch, fixed_crops
from baseline.data.pairs import DataSet
from baseline.restorer import check_crops
from compress.clocked import plan_by_clock
from compress.prune import PrunePlan, Surveyed, apply_, plan, sensitivity_of, survey
from compress.pruning_settings import PruneSettings
from compress.sensitivity import Sensitivity
from compress.widths import ALLOCATIONS
from recipes.keys import code_and_versions, key_of, own_network_sha256
from recipes.stages.given import parent_of, remember_
from recipes.stages.stage import StageInput, StageOutcome


def run(given: StageInput, settings: PruneSettings) -> StageOutcome:
    """Prune and save."""
    artifact = load(parent_of(given, "prune"))
    planned = plan_for(artifact.network, given, settings, by_clock=settings.depends_on_machine)
    report = apply_(artifact.network, planned, settings)
    remember_(artifact, "prune", settings, given)
    artifact.save(given.output)
    return StageOutcome(details=report.as_json())


def plan_for(network: nn.Module, given: StageInput, settings: PruneSettings, by_clock: bool) -> PrunePlan:
    """What the stage will do to the network of its parent; `by_clock` builds and times what is planned."""
    batches = [training_crops(network, given.data, settings)] if settings.looks_at_crops else []
    surveyed = survey(network, settings, batches)
    by_curves = ALLOCATIONS[settings.widths].needs_curves
    curves = _curves(network, surveyed, given, settings, batches) if by_curves else None
    return plan_by_clock(network, surveyed, settings, curves) if by_clock else plan(surveyed, settings, curves)


def training_crops(network: nn.Module, data: DataSet, settings: PruneSettings) -> Batch:
    """The crops that criteria and sensitivity look at; a UserError if the network does not take their side."""
    check_crops([settings.crop], network)
    return fixed_crops(data.training_crops(settings.crop), settings.crops, settings.crop, settings.seed)


def _curves(
    network: nn.Module, surveyed: Surveyed, given: StageInput, settings: PruneSettings, batches: list[Batch]
) -> Sensitivity:
    """The sensitivity curves, from the store if another cut of this network has asked for them."""
    if given.store is None or given.parent is None:
        return sensitivity_of(network, surveyed, settings, batches)
    identity = {
        "own_network": own_network_sha256(read_manifest(given.parent).architecture),
        "sensitivity": settings.model_dump(mode="json", include={"criterion", "crops", "crop", "seed"}),
        "network": file_sha256(given.parent / "model.json"),
        "data": given.data.manifest,
    } | code_and_versions(__name__, "baseline.data.datasets")

    def work(output: Path, _: Path) -> None:
        curves = sensitivity_of(network, surveyed, settings, batches)
        (output / "sensitivity.json").write_text(json.dumps(curves.as_json(), indent=1))

    entry = given.store.find(key_of(identity)) or given.store.make(key_of(identity), identity, work)
    return Sensitivity.from_json(json.loads((entry / "sensitivity.json").read_text()))
