import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from baseline.artifact import Artifact, load
from baseline.data import photos
from baseline.data.pairs import DataSet, PairSet
from baseline.data.pictures import list_pictures
from baseline.errors import UserError
from baseline.networks.mimo_unet import MIMOUNet
from baseline.settings import FitSettings, Settings
from compress.quantizing_settings import QuantizeSettings
from recipes.pipeline import Pipeline
from recipes.resolve import artifact_folder
from recipes.schema import parse_steps
from recipes.stages.quantize import material
from recipes.stages.stage import StageInput, StageOutcome
from recipes.stages.table import STAGES
from recipes.stages.teaching import teacher_for
from recipes.store import Store

CHAIN = [{"prune": {"ratio": 0.3}}, {"train": {"steps": 5}}, {"quantize": {"scheme": "int8"}}, {"export": {}}]


def write_manifest(
    folder: Path,
    lineage: list[dict[str, Any]],
    architecture: str = "mimo-unet",
    quantization: dict[str, Any] | None = None,
) -> None:
    content = {"architecture": architecture, "weights_sha256": "", "lineage": lineage, "quantization": quantization}
    (folder / "model.json").write_text(json.dumps(content))


def last_stage(folder: Path) -> str:
    lineage = json.loads((folder / "model.json").read_text())["lineage"]
    return lineage[-1]["stage"] if lineage else folder.name


MODULE = """
from baseline.networks.edge import EdgeNet

def make(**arguments):
    return EdgeNet(**arguments)
"""


@dataclass
class Stand:
    """A pipeline whose stages only write down that they ran, and fail when told to."""

    folder: Path
    patch: pytest.MonkeyPatch
    ran: list[str] = field(default_factory=list)
    floats: list[str] = field(default_factory=list)
    fails: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)

    def stage(self, name: str) -> Callable[[StageInput, Settings], StageOutcome]:
        def run(given: StageInput, settings: Settings) -> StageOutcome:
            self.ran.append(name)
            parent = None if given.parent is None else (given.parent / "model.json").read_text()
            self.floats.append("none" if given.float_parent is None else last_stage(given.float_parent))
            lineage = [{"stage": name, "settings": settings.model_dump(mode="json"), "parent": parent}]
            write_manifest(given.output, lineage, quantization={"scheme": "int8"} if name == "quantize" else None)
            if name == self.fails:
                raise RuntimeError("killed")
            return StageOutcome(steps=1, details={"name": name})

        return run

    def keys(self, chain: list[dict[str, Any]], **given: Any) -> dict[str, str]:
        """Run a chain; the key of each of its stages."""
        teacher = self.folder / given.get("teacher", "teacher")
        teacher.mkdir(exist_ok=True)
        write_manifest(teacher, [{"stage": teacher.name}], given.get("architecture", "mimo-unet"))
        data = DataSet("x", PairSet({}), manifest={"version": given.get("data", 1)})
        pipeline = Pipeline(Store(self.folder / ".store"), data, self.events.append)
        pipeline.teacher = teacher
        self.patch.setattr("recipes.pipeline.build_identity", lambda: {"isa": given.get("machine", "this")})
        self.patch.setattr("recipes.keys.VERSION", given.get("program", "0"))
        start = self.folder / "start"
        start.mkdir(exist_ok=True)
        write_manifest(start, [])
        made = pipeline.chain(start, [one for step in chain for one in parse_steps(step, "x")], "v")
        return {outcome["details"]["name"]: outcome["key"] for outcome in made.outcomes}


@pytest.fixture
def stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stand:
    stand = Stand(tmp_path, monkeypatch)
    for name in STAGES:
        monkeypatch.setattr(f"{STAGES[name].module}.run", stand.stage(name))
    return stand


def test_a_finished_stage_is_never_run_again(stand: Stand) -> None:
    first = stand.keys(CHAIN)
    assert stand.ran == ["prune", "train", "quantize", "export"]
    assert stand.keys(CHAIN) == first
    assert stand.ran == ["prune", "train", "quantize", "export"]
    told = [e["event"] for e in stand.events]
    assert told == ["start", "done"] * 4 + ["reuse", "done"] * 4


@pytest.mark.parametrize(
    ("place", "step", "again"),
    [
        (0, {"prune": {"ratio": 0.4}}, ["prune", "train", "quantize", "export"]),
        (1, {"train": {"steps": 6}}, ["train", "quantize", "export"]),
        (1, {"train": {"steps": 5, "seed": 1}}, ["train", "quantize", "export"]),
        (3, {"export": {"size": [64, 64]}}, ["export"]),
        (3, {"export": {"size": [256, 256]}}, []),  # what it is anyway
    ],
)
def test_a_changed_number_runs_what_depends_on_it(
    stand: Stand, place: int, step: dict[str, Any], again: list[str]
) -> None:
    before = stand.keys(CHAIN)
    stand.ran.clear()
    after = stand.keys([*CHAIN[:place], step, *CHAIN[place + 1 :]])
    assert stand.ran == again
    assert [name for name in before if before[name] != after[name]] == again


@pytest.mark.parametrize(
    ("change", "again"),
    [
        ({"data": 2}, {"prune", "train", "distill", "quantize"}),
        ({"teacher": "other"}, {"distill"}),
        ({"machine": "other"}, {"quantize", "export"}),
        ({"program": "9"}, {"prune", "train", "distill", "quantize", "export"}),
    ],
)
def test_each_stage_depends_on_what_it_uses(stand: Stand, change: dict[str, Any], again: set[str]) -> None:
    alone = [{"prune": {"ratio": 0.3}}, {"train": {"steps": 5}}, {"distill": {"steps": 5}}, *CHAIN[2:]]
    before = [stand.keys([step]) for step in alone]
    after = [stand.keys([step], **change) for step in alone]
    changed = {name for b, a in zip(before, after, strict=True) for name in b if b[name] != a[name]}
    assert changed == again


def test_a_file_depends_on_the_float_network_of_its_chain(tmp_path: Path) -> None:
    for number, name in enumerate(("int8", "float", "other")):
        (tmp_path / name).mkdir()
        write_manifest(tmp_path / name, [{"number": number}])
    pipeline = Pipeline(Store(tmp_path / ".store"), DataSet("x", PairSet({})), lambda _: None)
    for step, depends in (({"export": {}}, True), ({"prune": {"ratio": 0.3}}, False)):
        (one,) = parse_steps(step, "x")
        first, second = (pipeline.identity(tmp_path / "int8", one, tmp_path / name) for name in ("float", "other"))
        assert (first != second) is depends


def test_a_stage_is_given_the_last_float_artifact_of_its_chain(stand: Stand) -> None:
    stand.keys(CHAIN)
    assert stand.floats == ["start", "prune", "train", "train"]


def test_chains_share_their_beginning(stand: Stand) -> None:
    stand.keys(CHAIN[:2])
    stand.keys([*CHAIN[:2], {"quantize": {"scheme": "fp16"}}])
    assert stand.ran == ["prune", "train", "quantize"]


def test_a_stage_that_was_killed_is_done_again_and_those_before_it_are_not(stand: Stand) -> None:
    stand.fails = "quantize"
    with pytest.raises(RuntimeError, match="killed"):
        stand.keys(CHAIN)
    stand.fails = ""
    stand.keys(CHAIN)
    assert stand.ran == ["prune", "train", "quantize", "quantize", "export"]


@pytest.mark.parametrize("stage", ["prune: {ratio: 0.3}", "quantize: {scheme: fp16}", "train: {steps: 1}"])
def test_a_stage_without_a_network_before_it_says_so(stage: str, tmp_path: Path) -> None:
    import yaml

    (step,) = parse_steps(yaml.safe_load(stage), "x")
    given = StageInput(None, None, DataSet("x", PairSet({})), tmp_path, tmp_path)
    with pytest.raises(UserError, match="must follow a network; it stands first"):
        STAGES[step.stage].run(given, step.settings)


def test_crops_that_the_teacher_does_not_take_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(MIMOUNet, "size_multiple", 32)
    given = StageInput(None, artifact_folder("photos"), DataSet("x", PairSet({})), tmp_path, tmp_path)
    teacher_for(given, "distill", FitSettings(steps=1, crop=64))
    with pytest.raises(UserError, match="crops must be multiples of 32 for this network; got 48"):
        teacher_for(given, "distill", FitSettings(steps=1, crop=48))


def test_calibration_comes_from_training_photographs(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[Path] = []

    def opened(path: Path) -> np.ndarray:
        used.append(path)
        return np.random.default_rng(0).integers(0, 256, (80, 90, 3), dtype=np.uint8)

    monkeypatch.setattr(photos, "load_photo", opened)
    found = material(photos.photos(), QuantizeSettings(scheme="int8", crops=150, crop=64))
    assert {tuple(crop.shape) for crop in (*found.blurred, *found.sharp)} == {(1, 3, 64, 64)}
    assert set(used) <= set(list_pictures(photos.FOLDER / "train"))
    assert len(set(used)) > 30


def test_a_changed_network_of_the_users_own_is_trained_again(
    stand: Stand, importable: Callable[[str, str], str]
) -> None:
    module = stand.folder / f"{importable('own_network', '')}.py"
    chain = [{"train": {"network": "own_network:make", "steps": 1}}]
    module.write_text("def make(): ...\n")
    before = stand.keys(chain)
    assert stand.keys(chain) == before
    module.write_text("def make(): return 1\n")
    assert stand.keys(chain) != before


def test_what_a_changed_teacher_of_the_users_own_taught_is_taught_again(
    stand: Stand, importable: Callable[[str, str], str]
) -> None:
    module = stand.folder / f"{importable('own_teacher', '')}.py"
    module.write_text("def make(): ...\n")
    stages: tuple[dict[str, Any], ...] = ({"distill": {"steps": 1}}, {"train": {"steps": 1}})
    before = [stand.keys([stage], architecture="own_teacher:make") for stage in stages]
    module.write_text("def make(): return 1\n")
    after = [stand.keys([stage], architecture="own_teacher:make") for stage in stages]
    assert [b == a for b, a in zip(before, after, strict=True)] == [False, True]


@pytest.mark.parametrize("change", ["teacher", "own network", "source", "layers", "device", "version"])
def test_lessons_are_kept_apart_where_they_would_differ(
    change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, importable: Callable[[str, str], str]
) -> None:
    name = f"own_lessons_{change.replace(' ', '_')}"
    own = tmp_path / f"{importable(name, MODULE)}.py"
    plan = {"width": 8, "num_blocks": 1, "conv": "plain"}
    Artifact.new(f"{own.stem}:make", plan, 0).save(tmp_path / "teacher")
    given = StageInput(
        None, tmp_path / "teacher", DataSet("x", PairSet({})), tmp_path, tmp_path, Store(tmp_path / ".store")
    )
    settings = FitSettings(steps=1, crop=64, crop_set=8)

    def folder(*layers: str) -> Path:
        cache = teacher_for(given, "distill", settings, layers).cache
        assert cache is not None
        return cache.folder

    before = folder()
    assert folder() == before
    if change == "teacher":
        Artifact.new(f"{own.stem}:make", plan, 1).save(tmp_path / "teacher")
    elif change == "own network":
        own.write_text(own.read_text() + "CHANGED = 1\n")
    elif change == "source":
        monkeypatch.setattr("recipes.keys.code_sha256", lambda *_modules: "other")
    elif change == "device":
        monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    elif change == "version":
        monkeypatch.setattr("recipes.keys.library_versions", lambda _packages: {"torch": "9"})
    assert folder(*(["decoder.1"] if change == "layers" else [])) != before


@pytest.mark.parametrize(("steps", "expected"), [(3, 24), (1000, 4000)])
def test_a_short_training_asks_for_lessons_of_no_more_crops_than_it_draws(
    steps: int, expected: int, tmp_path: Path
) -> None:
    given = StageInput(None, artifact_folder("photos"), DataSet("x", PairSet({})), tmp_path, tmp_path, Store(tmp_path))
    cache = teacher_for(given, "distill", FitSettings(steps=steps, batch=8, crop=64, crop_set=4000)).cache
    assert cache is not None
    assert cache.expected == expected


def test_distillation_is_the_same_whatever_was_done_before_it(tmp_path: Path) -> None:
    content = {"distill": {"steps": 1, "batch": 1, "crop": 32, "workers": 0, "features_weight": 1.0}}
    (step,) = parse_steps(content, "x")
    data = replace(photos.photos(), val=None)
    parent = Artifact.new("mimo-unet", {"width": 8, "num_blocks": 1}, 0)
    parent.save(tmp_path / "parent")
    weights = []
    for draws in (0, 5):
        torch.rand(draws)
        output = tmp_path / str(draws)
        output.mkdir()
        given = StageInput(tmp_path / "parent", artifact_folder("photos"), data, output, output)
        STAGES["distill"].run(given, step.settings)
        weights.append(load(output).network.get_parameter("head.weight"))
    assert torch.equal(*weights)
