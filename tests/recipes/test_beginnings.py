"""What cannot be built, or does not fit, is told before anything is spent."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from tiny_runs import TEACHER

from baseline.data.photos import photos
from baseline.errors import UserError
from recipes.beginnings import check_beginnings
from recipes.cli import main
from recipes.schema import check_recipe

MODULE = """
from torch import nn

def shrinks():
    return nn.Conv2d(3, 3, 3)

def grey():
    return nn.Conv2d(3, 1, 3, padding=1)

def asks(width):
    return nn.Conv2d(3, 3, width, padding=1)

def nothing():
    return None

def number():
    return 5

def weightless():
    return nn.Identity()

def right():
    network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 3, 3, padding=1))
    network.size_multiple = 8
    return network
"""


@pytest.fixture
def own(importable: Callable[[str, str], str]) -> str:
    return importable("own_students", MODULE)


def content(*steps: dict[str, Any], teacher: dict[str, Any] = TEACHER) -> dict[str, Any]:
    return {"teacher": {"train": teacher}, "measure": {"size": [64, 64]}, "variants": {"mine": list(steps)}}


def taught(student: str | None, **settings: Any) -> dict[str, Any]:
    named = {} if student is None else {"student": student}
    return {"distill": {**named, "steps": 1, "batch": 1, "crop": 32, **settings}}


FAULTS: list[tuple[dict[str, Any], str]] = [
    (
        taught("own_students:shrinks"),
        "the network must return a picture of the size that it is given; of 1x3x16x16 it makes 1x3x14x14. Pad its ",
    ),
    (taught("own_students:grey"), "of 1x3x16x16 it makes 1x1x16x16."),
    (
        taught("own_students:asks"),
        "network 'own_students:asks' must be made by its factory from no arguments; it fails",
    ),
    (taught("own_students:nothing"), "network 'own_students:nothing' must make a torch.nn.Module; it made a NoneType."),
    (taught("own_students:number"), "network 'own_students:number' must make a torch.nn.Module; it made a int."),
    (taught("own_students:weightless"), "network 'own_students:weightless' must have weights to train; it has none."),
    (taught("own_students:right", warm_start=True), "warm_start must find a layer that the teacher has, too, of the"),
    (taught("own_students:right", crop=44), "crops must be multiples of 8 for this network; got 44."),
    (taught("edge", features_weight=1, features={"down": "dwon.0"}), "no layer 'dwon.0'. Did you mean 'down.0'?"),
    (taught(None, features_weight=1, features={"dwon.0": "down.0"}), "no layer 'dwon.0'. Did you mean 'down.0'?"),
    ({"train": {"network": "own_students:shrinks", "steps": 1}}, "the network must return a picture of the size"),
]


@pytest.mark.parametrize(("step", "said"), FAULTS)
def test_a_variant_that_cannot_begin_is_told_in_one_line(own: str, step: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as refused:
        check_beginnings(check_recipe(content(step), "x"))
    assert str(refused.value).startswith("variants.mine: ")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "steps",
    [
        [taught("own_students:right")],
        [taught("mimo-unet-narrow", warm_start=True, features_weight=0.3)],
        [{"prune": {"ratio": 0.3}}, taught(None)],
    ],
)
def test_a_variant_that_can_begin_is_let_through(own: str, steps: list[dict[str, Any]]) -> None:
    check_beginnings(check_recipe(content(*steps), "x"))


def test_a_teacher_that_does_not_restore_or_take_the_size_is_told(own: str) -> None:
    with pytest.raises(UserError, match=r"^the network must return a picture of the size that it is given"):
        check_beginnings(check_recipe(content(taught("edge"), teacher={"network": f"{own}:shrinks", "steps": 1}), "x"))
    uneven = content(taught("edge")) | {"measure": {"size": [66, 64]}}
    with pytest.raises(UserError, match=r"^the size must be multiples of 4 from 8 on; got 66x64"):
        check_beginnings(check_recipe(uneven, "x"))


@pytest.mark.parametrize(
    "step",
    [
        taught("edge", crop=400),
        {"quantize": {"scheme": "int8", "crop": 400}},
        {"quantize": {"scheme": "int8-qat", "crop": 64, "train": {"steps": 1, "crop": 400}}},
        {"prune": {"ratio": 0.3, "criterion": "fisher", "crop": 400}},
    ],
)
def test_training_crops_that_the_data_does_not_have_are_told(step: dict[str, Any]) -> None:
    recipe = check_recipe(content(step), "x")
    with pytest.raises(UserError, match=r"^variants\.mine: crop must be at most 384 for data 'photos'"):
        check_beginnings(recipe, photos())
    with pytest.raises(UserError, match=r"^variants\.mine: data 'photos' must have a training part"):
        check_beginnings(recipe, replace(photos(), train=None))
    check_beginnings(recipe)
    plain = {"ratio": 0.3, "criterion": "l2", "widths": "uniform", "crop": 400}
    check_beginnings(check_recipe(content({"prune": plain}), "x"), photos())


def test_validate_and_run_tell_it_before_anything_is_done(
    own: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text(yaml.safe_dump(content(taught(f"{own}:shrinks"))))
    for command in (["validate", "mine.yaml"], ["run", "mine.yaml"], ["run", "mine.yaml", "--dry-run"]):
        done = CliRunner().invoke(main, command)
        assert done.exit_code == 2, done.output
        assert "error: variants.mine: the network must return a picture of the size" in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert not [path for path in Path("runs").rglob("*") if path.name not in ("mine", ".store", "lock")]
