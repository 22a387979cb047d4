"""The report of a run, also of one that did not end: of its records, its recipe, its environment and its log."""

import json
from pathlib import Path

from baseline.errors import UserError
from baseline.networks.zoo import by_name_alone
from recipes.live import RunState, has_ended, live_state
from recipes.run_folder import kept_before, no_run
from recipes.schema import read_recipe
from reports.record import Report
from reports.recover import Asked, is_recovered, recovered
from reports.write import read_report


def read_run(folder: Path) -> Report:
    """The report of a run's folder; of what the last run left there, if that was killed or goes on.

    A UserError that names the nearest folder where there is none.
    """
    has_report = (folder / "report.json").is_file()
    left = (folder / "recipe.yaml").is_file() or any(folder.glob("variants/*/record.json"))
    if not (has_report or left):
        raise no_run(folder, "report.json")
    if not has_report or (left and not has_ended(folder)):
        return recovered_run(folder)
    read = read_report(folder)
    return recovered_run(folder) if is_recovered(read) else read


def recovered_run(folder: Path) -> Report:
    """The report of a run from what it left, and of where an earlier one is kept; a UserError if that is too little."""
    report = recovered(folder, _asked(folder), _environment(folder))
    before = kept_before(folder)
    if before:
        report.run.conditions.append(f"{before[0].upper()}{before[1:]}.")
    return report


def _asked(folder: Path) -> Asked:
    """What the recipe asks for; if that cannot be read, nothing but the reason."""
    try:
        with by_name_alone():
            recipe, _ = read_recipe(str(folder / "recipe.yaml"))
        fates = _fates(live_state(folder))
    except (UserError, OSError) as error:
        return Asked(unread=str(error))
    return Asked(
        description=recipe.description,
        data=recipe.data.name,
        teacher=recipe.teacher.network,
        chains={name: [step.label() for step in chain] for name, chain in recipe.variants.items()},
        fates=fates,
    )


def _fates(state: RunState) -> dict[str, str]:
    """How far each variant came, as the log says."""
    ends = "the run is still going on" if state.status == "running" else "the run ended"
    fates = {}
    for variant in state.variants:
        open_parts = [part for part in variant.parts() if part.status in ("running", "stopped", "waiting")]
        if variant.errors:
            fates[variant.name] = variant.errors[-1]
        elif open_parts:
            stage = open_parts[0].label.strip()
            fates[variant.name] = f"there is no record of it: {ends}, and '{stage}' was not finished"
    return fates


def _environment(folder: Path) -> dict[str, str]:
    """What the run wrote of its machine; nothing if that cannot be read."""
    try:
        found = json.loads((folder / "environment.json").read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}
