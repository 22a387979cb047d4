import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from tiny_runs import MEASURE, SMALL, TEACHER, TINY, Run, report_of

from baseline.artifact import Artifact, read_manifest
from baseline.folding import deployed_form
from baseline.networks.zoo import build
from compress.cost import cost
from compress.students import student_plan
from recipes.resolve import artifact_folder
from recipes.schema import read_recipe, shipped_recipes
from tests.reports.records import shipped


@pytest.mark.parametrize("name", sorted(shipped_recipes()))
def test_what_a_recipe_expects_of_new_networks_is_what_they_cost(name: str) -> None:
    recipe, _ = read_recipe(name)
    manifest = read_manifest(artifact_folder("photos"))
    teacher = (manifest.architecture, manifest.arguments)
    whole = cost(build(*teacher))
    for variant, expected in recipe.expect.items():
        first = recipe.variants[variant][0].settings
        student = getattr(first, "student", None)
        if student is None or any(step.stage == "prune" for step in recipe.variants[variant]):
            continue
        plan = student_plan(student, teacher, first.arguments)
        counted = cost(deployed_form(Artifact.new(*plan, 0)).network)
        cuts = {"params_cut": 1 - counted.params / whole.params, "macs_cut": 1 - counted.macs / whole.macs}
        for key in cuts.keys() & expected.keys():
            low, high = expected[key]
            assert low <= cuts[key] <= high, (variant, key)


@pytest.mark.parametrize("name", sorted(shipped_recipes()))
def test_every_row_of_a_shipped_recipe_is_expected_to_keep_some_gain(name: str) -> None:
    recipe, _ = read_recipe(name)
    expected = {variant: recipe.expect.get(variant, {}).get("gain_kept", (0.0, 0.0)) for variant in recipe.variants}
    assert [variant for variant, (least, _) in expected.items() if least < 0.2] == []


def test_the_minutes_that_the_students_take_are_those_of_their_record() -> None:
    recipe, _ = read_recipe("students")
    stated = re.search(r"(\d+) minutes of training", recipe.description)
    assert stated is not None
    taken = sum(variant.effort.minutes for variant in shipped("students").variants)
    assert float(stated[1]) == pytest.approx(taken, rel=0.1)


def measured(name: str) -> dict[str, Any]:
    """What a recipe's test measures: one recipe is timed, the others on a runtime that no CPU has."""
    return MEASURE | {"pictures": 1, "runtimes": ["eager" if name == "edge" else "tensorrt"]}


# The demo, whose methods are all among those of the others, is run by .ci/run itself.
@pytest.mark.parametrize("name", sorted(shipped_recipes().keys() - {"demo"}))
def test_every_shipped_recipe_runs(lightsharp: Run, name: str, tmp_path: Path) -> None:
    content = yaml.safe_load(shipped_recipes()[name].read_text())
    small = {
        "train": {"steps": 1, **SMALL},
        "distill": {"steps": 1, **SMALL},
        "prune": {"crops": 2, "crop": 32, "latency.size": [64, 64], "multiple": 1},  # tiny layers have few channels
        "quantize": {"crops": 2, "crop": 64},
    }
    # One step does not make a network that holds a gate.
    values: dict[str, Any] = {"teacher": {"train": TEACHER}, "measure": measured(name), "gates": {}}
    for variant, steps in content["variants"].items():
        for number, entry in enumerate(steps):
            rounds = "iterate" in entry
            place, step = f"variants.{variant}.{number}", entry["iterate"] if rounds else entry
            place += ".iterate" if rounds else ""
            for stage in step.keys() & small.keys():
                values |= {f"{place}.{stage}.{key}": v for key, v in small[stage].items()}
                if step[stage].get("network") or step[stage].get("student"):
                    values |= {f"{place}.{stage}.arguments.{key}": value for key, value in TINY.items()}
                if "train" in step[stage]:
                    values[f"{place}.{stage}.train"] = {"steps": 1, **SMALL}
                if "crop_set" in step[stage]:
                    values[f"{place}.{stage}.crop_set"] = 2
                if "latency_cut" in step[stage]:  # what a clock says of tiny layers is no matter for a test
                    values |= {f"{place}.{stage}.latency_cut": None, f"{place}.{stage}.params_cut": 0.3}
    assignments = [part for key, value in values.items() for part in ("--set", f"{key}={json.dumps(value)}")]
    done = lightsharp(tmp_path, "run", name, *assignments)
    assert done.returncode == 0, done.stderr
    report = report_of(tmp_path, f"runs/{name}")
    assert [v.name for v in report.variants] == list(content["variants"])
    assert all(v.metrics["psnr_db"].value for v in report.variants)
    assert all((row.median_ms is not None) == (name == "edge") for v in report.variants for row in v.latency)
    assert all(v.latency for v in report.variants)
