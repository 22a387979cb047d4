"""Defaults fit themselves to small images and to networks of other multiples, and say so; what was typed stays."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import pytest
from click.testing import CliRunner
from tiny_runs import MEASURE, SMALL, TEACHER, recipe, report_of

from baseline.artifact import Artifact
from baseline.data.datasets import open_data
from baseline.data.pairs import DataSet
from baseline.data.pictures import Picture, write_picture
from baseline.errors import UserError
from baseline.settings import DataSettings
from recipes.beginnings import check_beginnings
from recipes.cli import main
from recipes.fitting import Fit
from recipes.schema import Recipe, check_recipe

OF_24 = """
from torch import nn

def eights():
    network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 3, 3, padding=1))
    network.size_multiple = 24
    return network
"""
SMALLER = "the shortest side of the training images is 60"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, photo: Picture) -> Path:
    """Pairs of 60x80 pixels, as a user lays them out."""
    root = tmp_path_factory.mktemp("small")
    for part, top in (("train", 0), ("train", 60), ("val", 120), ("test", 130)):
        sharp = photo[top : top + 60, :80]
        write_picture(sharp, root / part / "sharp" / f"{top}.png")
        write_picture(cv2.blur(sharp, (5, 5)), root / part / "blur" / f"{top}.png")
    return root


@pytest.fixture(scope="module")
def small(root: Path) -> DataSet:
    return open_data(DataSettings(name="folder", root=root))


def of(teacher: dict[str, Any] = TEACHER, measure: dict[str, Any] = MEASURE, **variants: list[Any]) -> Recipe:
    return check_recipe({"teacher": {"train": teacher}, "measure": measure, "variants": variants}, "x")


def crops_in(given: Recipe) -> list[int]:
    return [getattr(step.settings, "crop", 0) for step in given.steps]


CHAIN = [{"prune": {"ratio": 0.3}}, {"train": {"steps": 1}}, {"quantize": {"scheme": "int8-qat"}}]


def test_every_default_fits_the_shortest_side_and_is_told_once(small: DataSet) -> None:
    teacher = {key: value for key, value in TEACHER.items() if key != "crop"}
    given = of(teacher, one=CHAIN, two=CHAIN)
    fitted = check_beginnings(given, small)
    assert crops_in(fitted.recipe) == [60] * 7
    assert fitted.recipe.steps[3].settings.training.crop == 60  # type: ignore[attr-defined]
    assert sorted(fitted.notes) == sorted(
        [
            f"Crops of training: 60 instead of 96; {SMALLER}.",
            f"Crops of pruning: 60 instead of 96; {SMALLER}.",
            f"Crops of int8-qat: 60 instead of 256; {SMALLER}.",
            f"Crops of int8-qat's training: 60 instead of 96; {SMALLER}.",
        ]
    )
    assert [step.label() for step in fitted.recipe.steps] == [step.label() for step in given.steps]


def test_what_was_typed_stays_and_is_refused(small: DataSet) -> None:
    for step in ({"quantize": {"scheme": "int8", "crop": 256}}, {"train": {"steps": 1, "crop": 96}}):
        with pytest.raises(UserError, match=r"^variants\.mine: crop must be at most 60 for data 'folder'"):
            check_beginnings(of(mine=[step]), small)


def test_defaults_fit_the_multiples_of_networks(importable: Callable[[str, str], str], small: DataSet) -> None:
    name = f"{importable('of_24s', OF_24)}:eights"
    sizes = {key: value for key, value in MEASURE.items() if key != "size"}
    mine = [{"distill": {"student": name, "steps": 1}}, {"quantize": {"scheme": "int8"}}]
    fitted = check_beginnings(of(measure=sizes, mine=mine), small)
    assert crops_in(fitted.recipe)[1:] == [48, 48]
    assert fitted.recipe.measure.size == (240, 240)
    assert "Images that are traced and timed: 240x240 instead of 256x256; the network takes multiples of 24." in (
        fitted.notes
    )
    with pytest.raises(UserError, match="the size must be multiples of 24 from 48 on; got 256x256"):
        check_beginnings(of(measure=sizes | {"size": [256, 256]}, mine=mine), small)


@pytest.mark.parametrize(
    ("fit", "found"),
    [
        (Fit(1, 1), 256),
        (Fit(8, 16, 180), 176),
        (Fit(24, 48), 240),
        (Fit(4, 300), 300),
        (Fit(48, 300), 336),
        (Fit(4, 300, 299), None),
        (Fit(300, 600), 600),
    ],
)
def test_the_nearest_side_is_the_largest_below_or_else_the_smallest(fit: Fit, found: int | None) -> None:
    assert fit.nearest(256) == found


def test_a_run_on_small_images_says_what_it_fitted(tmp_path: Path, root: Path) -> None:
    variants = {"int8": [{"quantize": {"scheme": "int8", "crops": 2}}]}
    path = recipe(tmp_path, variants, data={"name": "folder", "root": str(root)}) / "tiny.yaml"
    done = CliRunner().invoke(main, ["run", str(path), "--out", str(tmp_path / "runs/tiny")])
    note = f"Crops of int8: 60 instead of 256; {SMALLER}."
    assert (done.exit_code, note in done.stderr) == (0, True), done.output
    report = report_of(tmp_path)
    assert note in report.run.conditions
    assert report.variants[0].chain == ["quantize scheme int8, crops 2"]
    kept = json.loads((tmp_path / "runs/tiny/variants/int8/artifact/model.json").read_text())
    assert kept["lineage"][-1]["settings"]["crop"] == 60


def test_commands_fit_their_defaults(root: Path, float_folder: Path, tmp_path: Path) -> None:
    on_root = ("--data", "folder", "--root", str(root))
    prune = ("prune", str(float_folder), "--target-params", "0.6x", *on_root)
    done = CliRunner().invoke(main, [*prune, "--crops", "2", "--out", str(tmp_path / "pruned")])
    assert (done.exit_code, f"Crops of pruning: 60 instead of 96; {SMALLER}." in done.stderr) == (0, True), done.output
    typed = CliRunner().invoke(main, [*prune, "--crop", "96", "--dry-run"])
    assert (typed.exit_code, "crop must be at most 60" in typed.stderr) == (2, True), typed.output
    small = [f"--set={key}={value}" for key, value in SMALL.items() if key != "crop"]
    train = ["train", "--from", str(float_folder), "--steps", "1", *small, *on_root, "--out", str(tmp_path / "tuned")]
    done = CliRunner().invoke(main, train)
    assert (done.exit_code, f"Crops of training: 60 instead of 96; {SMALLER}." in done.stderr) == (0, True), done.output


def test_sizes_to_export_and_measure_fit_the_network(
    importable: Callable[[str, str], str], tmp_path: Path, float_folder: Path
) -> None:
    folder = tmp_path / "eights"
    Artifact.new(f"{importable('of_24s', OF_24)}:eights", {}, seed=0).save(folder)
    note = "240x240 instead of 256x256; the network takes multiples of 24."
    both = (str(folder), str(float_folder), "--runtime", "eager", "--rounds", "1", "--json")
    done = CliRunner().invoke(main, ["measure", *both])
    assert (done.exit_code, note in done.stderr) == (0, True), done.output
    assert [row["size"] for row in json.loads(done.stdout)] == [[240, 240]] * 2
    done = CliRunner().invoke(main, ["export", str(folder), "--to", "onnx", "--out", str(tmp_path / "files")])
    assert (done.exit_code, note in done.stderr) == (0, True), done.output
