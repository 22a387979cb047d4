"""The train command: presets, going on from another network, several processes."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from baseline.artifact import Artifact, load, read_manifest
from baseline.data.datasets import DATASETS
from baseline.data.pictures import Picture, write_picture
from baseline.errors import UserError
from baseline.presets import PRESETS
from baseline.settings import DataSettings, TrainSettings
from recipes.cli import main
from recipes.parse import parse
from recipes.training import train_to

Cli = Callable[..., object]
ROOT = Path(__file__).parent.parent.parent
TINY = ("--set", "arguments={width: 8, num_blocks: 1}")
QUICK = ("--set", "crop=32", "--set", "batch=2", "--set", "workers=0")


@pytest.fixture
def faces(tmp_path: Path, photo: Picture) -> Path:
    """Three paired pictures to train on (one of them is held out) and one to test with."""
    for split, left in (("train", 0), ("train", 60), ("train", 120), ("test", 190)):
        for kind in ("blur", "sharp"):
            folder = tmp_path / "faces" / split / kind
            folder.mkdir(parents=True, exist_ok=True)
            cut = photo[:64, left : left + 64]
            write_picture(cut if kind == "sharp" else np.repeat(cut[:, ::2], 2, axis=1), folder / f"{left}.png")
    return tmp_path / "faces"


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_a_training_on_a_known_data_set(name: str) -> None:
    preset = PRESETS[name]
    settings = parse(TrainSettings, preset.settings, name)
    assert settings.starts_anew != preset.fine_tunes
    assert preset.data is None or preset.data in DATASETS


def test_the_papers_preset_is_the_published_training() -> None:
    paper = parse(TrainSettings, PRESETS["paper"].settings, "paper")
    assert paper.steps * paper.batch == pytest.approx(3000 * 2103, abs=4)
    assert (paper.optimizer, paper.lr, paper.batch, paper.crop, paper.augment) == ("adam", 1e-4, 4, 256, "flip")
    assert paper.steps / (paper.halvings + 1) == pytest.approx(500 * 2103 / 4, rel=1e-5)
    weights = {key: value for key, value in paper.loss.model_dump().items() if value and key != "scales"}
    assert weights == {"l1": 1.0, "frequency": 0.1}
    assert set(paper.loss.scales) == {1.0}


def test_faces_go_on_from_a_network_on_the_users_folder(
    tmp_path: Path, cli: Cli, float_folder: Path, faces: Path
) -> None:
    command = ("train", "--preset", "faces", "--from", str(float_folder), "--root", str(faces), "--out", "mine")
    done = cli(*command, *QUICK, "--steps", "3")
    assert done.returncode == 0, done.stderr
    (stage,) = read_manifest(tmp_path / "mine").lineage
    assert (stage["data"], stage["settings"]["augment"], stage["settings"]["lr"]) == ("folder", "faces", 1e-4)
    before, after = load(float_folder).network.state_dict(), load(tmp_path / "mine").network.state_dict()
    change = max((after[name] - before[name]).abs().max().item() for name in before)
    assert 0 < change < 1e-2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--preset", "facse", "--out", "x"), "no preset 'facse'. Did you mean 'faces'?"),
        (("--preset", "text", "--out", "x"), "preset 'text' must go on from a network; none was given. Add --from"),
        (("--out", "x"), "train must know how long; add --steps N, or a --preset that says so."),
        (("--steps", "1", "--from", "a", "--network", "b", "--out", "x"), "train must be given --network or --from"),
        (
            ("--steps", "1", "--from", "photos", "--set", "network=unet", "--out", "x"),
            "train --from must keep its network",
        ),
        (("--steps", "1", "--set", "loss.sim=1", "--out", "x"), "train.loss: no key 'sim'. Did you mean 'ssim'?"),
        (("--steps", "1", "--track", "wandb", "--out", "x"), "train.track: input should be 'none', 'tensorboard' or"),
        (("--steps", "1", "--processes", "2", "--out", "x"), "training must run in 2 processes; it runs in 1. Type: "),
    ],
)
def test_a_wrong_training_is_refused_in_one_line(cli: Cli, arguments: tuple[str, ...], said: str) -> None:
    done = cli("train", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_two_processes_give_the_losses_of_one_with_the_same_global_batch(
    tmp_path: Path, cli: Cli, run_python: Cli, faces: Path
) -> None:
    phases = "phases=[{name: coarse, share: 0.5, scales: 1, batch: 4}, {name: all, share: 0.5}]"
    sums = ("--set", "loss={ssim: 0.1, psnr: 0.01}", "--set", phases, "--set", "log_every=1", "--set", "lr=0.01")
    train = ("train", "--steps", "4", "--data", "folder", "--root", str(faces), *TINY, *QUICK, *sums)
    alone = cli(*train, "--out", "one")
    assert alone.returncode == 0, alone.stderr
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "recipes.cli")
    both = run_python(*torchrun, *train, "--processes", "2", "--out", "two")
    assert both.returncode == 0, both.stderr
    one, two = (json.loads((tmp_path / out / "training.json").read_text()) for out in ("one", "two"))
    curves = one["details"]["curve"], two["details"]["curve"]
    assert [point["step"] for point in curves[0]] == [1, 2, 3, 4, 4]
    for expected, found in zip(*curves, strict=True):
        assert found == pytest.approx(expected, rel=1e-4)
    assert (one["pictures"], two["pictures"]) == (12, 12)


def test_curves_are_written_where_a_tracker_reads_them(tmp_path: Path, cli: Cli, faces: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train = ("train", "--steps", "2", "--data", "folder", "--root", str(faces), *TINY, *QUICK, "--set", "log_every=1")
    done = cli(*train, "--track", "tensorboard", "--out", "a")
    assert done.returncode == 0, done.stderr
    events = EventAccumulator(str(tmp_path / "a" / "tracking"))
    events.Reload()
    curve = json.loads((tmp_path / "a" / "training.json").read_text())["details"]["curve"]
    logged = [point["l1"] for point in curve if "l1" in point]
    assert [scalar.value for scalar in events.Scalars("l1")] == pytest.approx(logged)


def test_the_help_of_gradient_checkpointing_says_what_was_measured() -> None:
    record = json.loads((ROOT / "benchmarks" / "results" / "checkpoint_gradients.json").read_text())
    (option,) = (o for o in main.commands["train"].params if o.name == "checkpoint_gradients")
    step, process = f"{record['memory_of_a_step_saved']:.0%}", f"{record['peak_memory_saved']:.0%}"
    slower = f"{record['times_the_cpu_time']:.2f} times"
    assert f"a step takes {step} less memory, the process {process} less, in {slower} the CPU time" in option.help


def test_a_folder_with_other_files_is_not_touched(tmp_path: Path, cli: Cli, faces: Path) -> None:
    kept = tmp_path / "out" / "training" / "notes.txt"
    kept.parent.mkdir(parents=True)
    kept.write_text("mine")
    done = cli("train", "--steps", "1", "--data", "folder", "--root", str(faces), *TINY, *QUICK, "--out", "out")
    assert done.returncode == 2
    assert "out must be an empty folder or none; it holds files. Choose another --out." in done.stderr
    assert kept.read_text() == "mine"


def test_a_training_goes_on_only_with_what_it_was_begun_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, faces: Path
) -> None:
    def train(**changed: object) -> None:
        values = {
            "network": "mimo-unet",
            "arguments": {"width": 8, "num_blocks": 1},
            "steps": 2,
            "crop": 32,
            "batch": 2,
        }
        settings = TrainSettings(**values | {"workers": 0, "checkpoint_every": 1, "ema": 0.0} | changed)
        train_to(tmp_path / "out", settings, None, DataSettings(name="folder", root=faces))

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("baseline.artifact.Artifact.save", die)
        with pytest.raises(KeyboardInterrupt):
            train()
    with pytest.raises(UserError, match=r"its settings were others\. Finish it as it was begun, or choose another"):
        train(lr=1e-5)
    picture = next((faces / "train" / "blur").iterdir())
    before = picture.read_bytes()
    write_picture(np.full((64, 64, 3), 7, np.uint8), picture)
    with pytest.raises(UserError, match="its data were others"):
        train()
    picture.write_bytes(before)
    os.utime(picture, ns=(0, 0))
    with pytest.raises(UserError, match="its data were others"):
        train()


def test_a_constant_rate_goes_on_over_more_steps_in_another_precision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, faces: Path
) -> None:
    def train(steps: int, **changed: object) -> None:
        values = {"arguments": {"num_blocks": 2}, "steps": steps, "crop": 32, "batch": 2, "schedule": "constant"}
        settings = TrainSettings(**values | {"workers": 0, "checkpoint_every": 1} | changed)
        train_to(tmp_path / "out", settings, str(tmp_path / "start"), DataSettings(name="folder", root=faces))

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    Artifact.new("mimo-unet", {"width": 8, "num_blocks": 1}, 0).save(tmp_path / "start")
    with monkeypatch.context() as patched:
        patched.setattr("baseline.artifact.Artifact.save", die)
        with pytest.raises(KeyboardInterrupt):
            train(2)
    with pytest.raises(UserError, match="its settings were others"):
        train(4, batch=4)
    train(4, decay_steps=2, precision="bf16")
    done = json.loads((tmp_path / "out" / "training.json").read_text())
    assert done["steps"] == 4
    assert [part["precision"] for part in done["details"]["precisions"]] == ["fp32", "bf16"]
    assert json.loads((tmp_path / "out" / "model.json").read_text())["arguments"] == {"width": 8, "num_blocks": 2}


def test_what_was_refused_does_not_block_its_folder(tmp_path: Path, cli: Cli, faces: Path) -> None:
    train = ("train", "--steps", "1", "--data", "folder", "--root", str(faces), *TINY, *QUICK, "--out", "out")
    assert cli(*train, "--set", "crop=128").returncode == 2
    done = cli(*train)
    assert done.returncode == 0, done.stderr
    assert "held out to validate on" in done.stderr


@pytest.mark.parametrize("setting", ["processes=2", "track=mlflow"])
def test_a_recipe_leaves_processes_and_trackers_to_train(cli: Cli, setting: str) -> None:
    done = cli(
        "validate",
        "demo",
        "--set",
        f"variants.pruned-30.1.distill.{setting}",
        "--set",
        "variants.pruned-30.1.distill.batch=8",
    )
    assert done.returncode == 2
    assert "must leave processes and track out in a recipe" in done.stderr
