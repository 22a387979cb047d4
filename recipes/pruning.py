"""The prune, sensitivity and verify-prune commands: pruning outside of a recipe."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from torch import nn

from baseline.artifact import MODEL_FILE, Artifact, load
from baseline.atomic import write_whole
from baseline.data.datasets import open_data
from baseline.data.pairs import DataSet
from baseline.errors import UserError
from baseline.output import no_artifact_yet, output_folder
from baseline.restorer import size_for
from baseline.settings import DataSettings
from compress.cost import count_macs, deployed_params
from compress.prune import PruneReport, sensitivity_of, survey
from compress.pruning_settings import PruneSettings
from compress.sensitivity import Sensitivity
from compress.verify import GroupCheck, check_groups
from recipes.fitting import fit_crops, tell
from recipes.networks import network_named
from recipes.parse import parse
from recipes.planning import PlannedStep, latency_of
from recipes.resolve import artifact_folder
from recipes.stages.prune import plan_for, run, training_crops
from recipes.stages.stage import StageInput
from recipes.targets import TARGETS
from reports.sensitivity import sensitivity_page


def checks_of(name: str, arguments: dict[str, Any]) -> list[GroupCheck]:
    """The check of every group of a named network."""
    return check_groups(network_named(name, arguments).network)


def settings_from(name: str, targets: dict[str, str], options: dict[str, Any]) -> PruneSettings:
    """Prune settings from the one target that was typed; a UserError if there is not exactly one."""
    if len(targets) != 1:
        known = ", ".join(target.option for target in TARGETS.values())
        given = " and ".join(TARGETS[key].option for key in targets) or "none"
        raise UserError(f"exactly one of {known} must be given; got {given}. Type for example --target-latency 0.5x.")
    ((what, text),) = targets.items()
    undecided = parse(PruneSettings, {**options, "ratio": 0.5}, "prune")
    setting, value = TARGETS[what].parsed(text, lambda: _whole(load(artifact_folder(name)), what, undecided))
    return parse(PruneSettings, {**options, setting: value}, "prune")


def plan_named(name: str, settings: PruneSettings, chosen: DataSettings) -> PlannedStep:
    """What pruning a named network would do."""
    artifact = load(artifact_folder(name))
    data = open_data(chosen)
    settings = _fitted(settings, artifact.network, data)
    given = StageInput(artifact_folder(name), None, data, Path(), Path())
    planned = plan_for(artifact.network, given, settings, by_clock=False)
    return PlannedStep("prune", planned, latency_of(planned, settings))


def prune_to(out: Path, name: str, settings: PruneSettings, chosen: DataSettings) -> PruneReport:
    """Prune a named network into an artifact's folder, with `pruning.json` beside; a UserError if one is there."""
    folder = artifact_folder(name)
    no_artifact_yet(out)
    data = open_data(chosen)
    settings = _fitted(settings, load(folder).network, data)
    with _folder_for(out):
        outcome = run(StageInput(folder, None, data, out, out), settings)
        write_whole(out / "pruning.json", json.dumps(outcome.details, indent=1) + "\n")
    return PruneReport.from_json(outcome.details)


def sensitivity_to(out: Path, name: str, settings: PruneSettings, chosen: DataSettings) -> Sensitivity:
    """Measure a named network's sensitivity, and write `sensitivity.json` and `sensitivity.html`."""
    artifact = load(artifact_folder(name))
    if (out / "sensitivity.json").exists() or (out / MODEL_FILE).exists():
        raise UserError(f"{out} must hold no artifact and no sensitivity yet; it does. Choose another --out.")
    data = open_data(chosen)
    settings = _fitted(settings, artifact.network, data)
    batches = [training_crops(artifact.network, data, settings)]
    with _folder_for(out):
        curves = sensitivity_of(artifact.network, survey(artifact.network, settings, batches), settings, batches)
        write_whole(out / "sensitivity.json", json.dumps(curves.as_json(), indent=1) + "\n")
        write_whole(out / "sensitivity.html", sensitivity_page(curves.as_json(), name, data.name))
    return curves


def _fitted(settings: PruneSettings, network: nn.Module, data: DataSet) -> PruneSettings:
    """The settings, with crops that the network takes and the data has where none were typed; what changes is said."""
    fitted, notes = fit_crops(settings, network, None, data)
    tell(notes)
    return fitted


@contextmanager
def _folder_for(out: Path) -> Iterator[None]:
    """The folder to write into, made first to see that it can be, and gone again if the work fails before it writes."""
    new = [folder for folder in (out, *out.parents) if not folder.exists()]
    output_folder(out)
    try:
        yield
    except BaseException:
        with suppress(OSError):  # something is in it
            for folder in new:
                folder.rmdir()
        raise


def _whole(artifact: Artifact, what: str, settings: PruneSettings) -> float:
    """What an unpruned network has of what is limited."""
    if what == "macs":
        size = size_for(artifact.network, settings.latency.size)
        return float(count_macs(artifact.network, size)[0])
    return deployed_params(artifact.network) * (4.0 if what == "size" else 1.0)
