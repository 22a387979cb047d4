import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from baseline.artifact import load
from baseline.errors import UserError
from baseline.settings import DataSettings
from compress.pruning_settings import PruneSettings
from recipes.networks import network_named
from recipes.pruning import prune_to
from recipes.resolve import artifact_folder
from recipes.schema import check_recipe
from recipes.targets import TARGETS

Cli = Callable[..., Any]

CROPS = {"crops": 2, "crop": 32}
SMALL = {"batch": 2, "crop": 32, "workers": 0}
MEASURE = {"size": [32, 32], "pictures": 1, "rounds": 1, "devices": ["cpu"], "runtimes": ["eager"]}

# A user's network: a gate of two halves, the image joined to features, depthwise work, a bare scale, one output.
OWN = """
import torch
from torch import nn

class Own(nn.Module):
    size_multiple = 2

    def __init__(self, width):
        super().__init__()
        self.head = nn.Conv2d(3, width, 3, padding=1)
        self.wide = nn.Conv2d(width, 2 * width, 1)
        self.narrow = nn.Conv2d(width, width, 1)
        self.depthwise = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.norm = nn.BatchNorm2d(width)
        self.scale = nn.Parameter(torch.ones(1, width, 1, 1))
        self.inner = nn.Conv2d(width, width, 3, padding=1)
        self.join = nn.Conv2d(width + 3, width, 1)
        self.out = nn.Conv2d(width, 3, 3, padding=1)

    def forward(self, image):
        x = self.head(image).relu()
        one, other = self.wide(x).chunk(2, dim=1)
        x = x + self.narrow(one * other) * self.scale
        x = self.inner(self.norm(self.depthwise(x)).relu()).relu()
        return self.out(self.join(torch.cat([image, x], dim=1)).relu()) + image

def build(width=8):
    return Own(width)
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder with the user's package."""
    (tmp_path / "mine.py").write_text(OWN)
    return tmp_path


def write(folder: Path, **content: Any) -> None:
    (folder / "own.yaml").write_text(yaml.safe_dump(content, sort_keys=False))


def test_a_users_own_network_goes_all_the_way(cli: Cli, own: Path) -> None:
    train = {"network": "mine:build", "arguments": {"width": 8}, "steps": 2, **SMALL}
    prune = {"params_cut": 0.3, "criterion": "fisher", "widths": "sensitivity", **CROPS}
    variants = {
        "once": [{"prune": prune}, {"train": {"steps": 2, **SMALL}}],
        "again": [{"from": "once"}, {"prune": {**prune, "criterion": "taylor", "widths": "global"}}],
    }
    write(own, teacher={"train": train}, measure=MEASURE, variants=variants)
    done = cli("run", "own.yaml", "--allow-code", "mine")
    assert done.returncode == 0, done.stderr
    report = json.loads((own / "runs/own/report.json").read_text())
    teacher = report["teacher"]["metrics"]["params"]["value"]
    once, again = (variant["metrics"]["params"]["value"] for variant in report["variants"])
    assert once == pytest.approx(0.7 * teacher, rel=0.06)
    assert again == pytest.approx(0.7 * once, rel=0.06)
    details = report["variants"][0]["details"][0]
    assert set(details["protected"]) >= {"out", "inner"}
    assert "wide" in {row["name"] for row in details["widths"]}
    assert set(details["sensitivity"]["groups"]) == {row["name"] for row in details["widths"]}
    page = (own / "runs/own/report.html").read_text()
    assert "Sensitivity" in page
    assert details["protected"]["inner"].split(":")[0] in page
    # What was saved is rebuilt from the factory and the channel plan, and pruned to what the report says.
    folder = own / "runs/own/variants/again/artifact"
    rebuilt = cli("eval", str(folder), "--json")
    assert rebuilt.returncode == 0, rebuilt.stderr

    measured = cli("sensitivity", str(folder), "--out", "found", "--crops", "2", "--crop", "32", "--json")
    assert measured.returncode == 0, measured.stderr
    curves = json.loads((own / "found/sensitivity.json").read_text())
    assert curves == json.loads(measured.stdout)
    assert all([p["ratio"] for p in points] == [0.125, 0.25, 0.5, 0.75, 0.9] for points in curves["groups"].values())
    assert "plotly" in (own / "found/sensitivity.html").read_text().lower()


def test_verify_prune_takes_a_factory(cli: Cli, own: Path) -> None:
    done = cli("verify-prune", "mine:build", "--arguments", "{width: 6}", "--json")
    assert done.returncode == 0, done.stderr
    checks = {check["name"]: check for check in json.loads(done.stdout)}
    assert checks["out"]["protected_because"] == "its channels are those of an output"
    assert checks["join"]["protected_because"] is None
    assert checks["join"]["channels"] == 6
    shown = cli("verify-prune", "mine:build")
    assert f"of {len(checks)} groups can be pruned exactly" in shown.stdout


def test_a_dry_run_shows_the_plan_and_trains_nothing(cli: Cli, own: Path) -> None:
    prune = {"ratio": 0.5, "criterion": "l2"}
    variants = {"a": [{"prune": prune}, {"train": {"steps": 2, **SMALL}}, {"prune": prune}]}
    write(own, teacher={"train": {"network": "mine:build", "steps": 2, **SMALL}}, measure=MEASURE, variants=variants)
    done = cli("run", "own.yaml", "--dry-run", "--allow-code", "mine", XDG_CACHE_HOME=str(own / "cache"))
    assert done.returncode == 0, done.stderr
    assert "protected: out: its channels are those of an output" in done.stdout
    assert "predicted params:" in done.stdout
    assert "not counted as macs: aten::add x" in done.stdout
    assert "predicted latency:" in done.stdout
    assert "planned before the training that comes first" in done.stdout
    assert "train steps 2" in done.stdout
    assert not (own / "runs/own").exists()


def test_prune_makes_an_artifact_of_the_asked_size(cli: Cli, float_folder: Path, tmp_path: Path) -> None:
    options = ["--criterion", "l2", "--widths", "uniform", "--multiple", "1", "--out", "pruned"]
    done = cli("prune", str(float_folder), "--target-params", "0.5x", *options)
    assert done.returncode == 0, done.stderr
    pruned, whole = (load(folder).network for folder in (tmp_path / "pruned", float_folder))
    # The two coarse outputs are not deployed, and not counted.
    sizes = [
        sum(p.numel() for n, p in network.named_parameters() if n[:5] not in ("out.0", "out.1"))
        for network in (pruned, whole)
    ]
    assert sizes[0] == pytest.approx(sizes[1] / 2, rel=0.04)
    report = json.loads((tmp_path / "pruned/pruning.json").read_text())
    assert report["achieved"]["params_cut"] == pytest.approx(1 - sizes[0] / sizes[1], abs=1e-6)
    assert "params_cut: " in done.stdout
    again = cli("prune", str(float_folder), "--target-params", "0.5x", *options)
    assert again.returncode == 2
    assert "must not hold an artifact yet" in again.stderr


@pytest.mark.parametrize(
    ("option", "text", "whole", "cut"),
    [
        ("latency", "0.25x", 80.0, 0.75),
        ("macs", "2G", 8e9, 0.75),
        ("params", "250k", 1e6, 0.75),
        ("size", "1MB", 4e6, 0.75),
    ],
)
def test_targets_are_shares_or_values(option: str, text: str, whole: float, cut: float) -> None:
    assert TARGETS[option].parsed(text, lambda: whole) == (TARGETS[option].setting, pytest.approx(cut))


@pytest.mark.parametrize(
    ("option", "text", "said"),
    [
        (
            "latency",
            "0.5",
            "--target-latency must be a share such as 0.5x or a value such as 40ms; got '0.5'. Did you mean 0.5x?",
        ),
        (
            "params",
            "0.5",
            "--target-params must be a share such as 0.5x or a value such as 300k; got '0.5'. Did you mean 0.5x?",
        ),
        ("latency", "40", "--target-latency must be a share such as 0.5x or a value such as 40ms; got '40'."),
        ("macs", "20ms", "--target-macs must be a share such as 0.5x or a value such as 4.2G; got '20ms'."),
        ("latency", "2x", "--target-latency must leave a part of what there is; 2x is 2x. Leave less."),
        ("size", "0MB", "--target-size must leave a part of what there is; 0MB is 0x. Leave more."),
    ],
)
def test_wrong_targets_are_answered_in_one_line(option: str, text: str, said: str) -> None:
    with pytest.raises(UserError) as error:
        TARGETS[option].parsed(text, lambda: 10.0)
    assert str(error.value) == said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "exactly one of --target-latency, --target-macs, --target-params, --target-size must be given; got none."),
        (("--target-macs", "0.5x", "--widths", "sensitivty"), "no allocation of widths 'sensitivty'. Did you mean"),
        (("--target-macs", "0.5x", "--floor", "2"), "prune.floor must lie between 0 and 1, such as 0.3; got 2"),
    ],
)
def test_wrong_options_of_prune_exit_with_2(cli: Cli, arguments: tuple[str, ...], said: str) -> None:
    done = cli("prune", "photos", "--dry-run", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_pruning_that_fails_leaves_no_folder(float_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "new/pruned"
    settings = PruneSettings(params_cut=0.9999, criterion="l2", widths="uniform", multiple=1)
    with pytest.raises(UserError, match=r"the cut must be at most 0\.\d+ for this network"):
        prune_to(out, str(float_folder), settings, DataSettings())
    assert list(tmp_path.iterdir()) == []
    out.mkdir(parents=True)
    with pytest.raises(UserError, match="the cut must be at most"):
        prune_to(out, str(float_folder), settings, DataSettings())
    assert out.is_dir()


def test_names_are_answered_with_what_may_be_named(float_folder: Path) -> None:
    with pytest.raises(UserError) as error:
        network_named("mimo-unet-ds", {})
    known = "edge, mimo-unet, mimo-unet-attention, mimo-unet-plus, nafnet, photos, photos-partly, unet"
    assert str(error.value) == (
        f"no network 'mimo-unet-ds'. Did you mean 'mimo-unet'? Known: {known}. "
        "Or give an artifact's folder or package.module:factory."
    )
    assert artifact_folder(str(float_folder)) == float_folder
    for name in ("mimo-unet", "mine:build"):
        with pytest.raises(
            UserError, match=f"Train it first: lightsharp train --network {name} --out FOLDER, and give"
        ):
            artifact_folder(name)


def chain(step: dict[str, Any]) -> list[Any]:
    return check_recipe({"variants": {"a": [step]}}, "here").variants["a"]


def test_iterating_repeats_an_equal_share_and_a_training() -> None:
    rounds = chain({"iterate": {"rounds": 3, "prune": {"params_cut": 0.488}, "distill": {"steps": 5}}})
    assert [step.stage for step in rounds] == ["prune", "distill"] * 3
    cuts = [step.settings.params_cut for step in rounds[::2]]
    # 0.8 x 0.8 x 0.8 = 1 - 0.488
    assert cuts == [0.2, 0.2, 0.2]


@pytest.mark.parametrize(
    ("iterate", "said"),
    [
        ({"rounds": 2, "prune": {"ratio": 0.5}}, "exactly one of train and distill must follow prune in every round"),
        (
            {"rounds": 2, "prune": {"ratio": 0.5}, "distill": {"steps": 1, "student": "mimo-unet-ds"}},
            "a round must train the pruned network on; leave network and student out",
        ),
        (
            {"rounds": 2, "prune": {"ratoi": 0.5}, "train": {"steps": 1}},
            "here.variants.a.0.iterate.prune: no key 'ratoi'. Did you mean 'ratio'?",
        ),
        ({"rounds": 1, "prune": {"ratio": 0.5}, "train": {"steps": 1}}, "greater than or equal to 2; got 1"),
    ],
)
def test_wrong_rounds_are_answered_in_one_line(iterate: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as error:
        chain({"iterate": iterate})
    assert said in str(error.value)
