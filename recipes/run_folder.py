"""Run folders by name: where they are, and what to type where there is none."""

import shlex
from difflib import get_close_matches
from pathlib import Path

from baseline.errors import UserError
from recipes.schema import SUFFIXES, shipped_recipes

RUNS = Path("runs")
"""Where runs go by themselves."""

BEFORE = "before"
"""The folder in a run's in which the run before is kept, as long as the one that goes on there is not finished."""

_MOST_NAMED = 8


def recipe_of(folder: Path, without: str) -> Path:
    """The recipe that a run's folder keeps; a UserError if there is none, and `without` says what a report lacks."""
    path = folder / "recipe.yaml"
    if path.is_file():
        return path
    if (folder / "report.json").is_file():
        raise UserError(
            f"{folder} must be a run's folder with recipe.yaml; it holds a finished report alone, {without}. "
            f"Type: {shlex.join(['lightsharp', 'report', str(folder)])}"
        )
    raise no_run(folder, "recipe.yaml")


def making(folder: Path) -> str:
    """The command that makes a run's folder whole again; nothing where its recipe is not kept."""
    recipe = folder / "recipe.yaml"
    return shlex.join(["lightsharp", "run", str(recipe), "--out", str(folder)]) if recipe.is_file() else ""


def kept_before(folder: Path) -> str:
    """Where the report is that an earlier run had finished in a folder; nothing if none is kept."""
    kept = folder / BEFORE
    if not (kept / "report.json").is_file():
        return ""
    return f"what an earlier run finished here is kept; type: {shlex.join(['lightsharp', 'report', str(kept)])}"


def no_run(folder: Path, needed: str) -> UserError:
    """The error for a folder that is no run's: the nearest run, the recipe of that name, or what there is."""
    return UserError(f"{folder} must be a run's folder with {needed}; there is none. {_guess(folder, needed)}")


def _guess(folder: Path, needed: str) -> str:
    """What was meant, or what there is."""
    if folder.is_file() and (folder.parent / needed).is_file():
        return f"Did you mean {folder.parent}?"
    if folder.is_file() and folder.suffix in SUFFIXES:
        its = RUNS / folder.stem
        made = shlex.join(["lightsharp", "run", str(folder)])
        return f"It is a recipe. Its run is {its}." if (its / needed).is_file() else f"It is a recipe. Type: {made}"
    if folder.is_file():
        return "It is a file."
    places = dict.fromkeys(place.resolve() for place in (RUNS, folder, folder.parent))
    marks = dict.fromkeys((needed, "recipe.yaml"))  # a run that was killed has no report.json yet
    found = sorted(path.parent for place in places for mark in marks for path in place.glob(f"*/{mark}"))
    runs = {path.name: _from_here(path) for path in found}
    nearest = get_close_matches(folder.name, runs, n=1)
    if nearest:
        return f"Did you mean {runs[nearest[0]]}?"
    recipes = shipped_recipes()
    if folder.name in recipes:
        return f"Type: {shlex.join(['lightsharp', 'run', folder.name, '--out', str(folder)])}"
    nearest = get_close_matches(folder.name, recipes, n=1)
    if nearest:
        return f"Did you mean the recipe {nearest[0]}? Type: lightsharp run {nearest[0]}"
    if runs:
        more = f" and {len(runs) - _MOST_NAMED} more" if len(runs) > _MOST_NAMED else ""
        return f"Runs here: {', '.join(map(str, list(runs.values())[:_MOST_NAMED]))}{more}."
    return f"There are no runs here yet. Type lightsharp run and one of: {', '.join(recipes)}."


def _from_here(path: Path) -> Path:
    """A path as one would type it."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
