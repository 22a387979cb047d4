import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from baseline.data.pairs import Crops
from baseline.data.pictures import Picture
from baseline.errors import UserError
from baseline.losses import supervised
from baseline.phases import learning_rate_share, spans
from baseline.settings import FitSettings, LossSettings
from baseline.trainer import fit

# Trains the network with dropout, so that the state of the random numbers matters, and dies when told to.
SCRIPT = """
import os, signal, sys
from pathlib import Path

import torch

from baseline.data.photos import photos
from baseline.losses import supervised
from baseline.networks.zoo import build
from baseline.settings import FitSettings, LossSettings
from baseline.trainer import fit

torch.set_num_threads(1)
folder, dies_at = Path(sys.argv[1]), int(sys.argv[2])
settings = FitSettings(
    steps=7, batch=2, crop=32, workers=int(sys.argv[3]), checkpoint_every=2, validate_every=3, lr=1e-2,
    precision=sys.argv[4],
    phases=[{"name": "coarse", "share": 0.5, "crop": 24, "scales": 2}, {"name": "all", "share": 0.5}],
)
torch.manual_seed(0)
network = build("mimo-unet-plus", {"width": 8, "num_blocks": 1})
steps = 0

def loss(outputs, batch):
    global steps
    steps += 1
    if steps == dies_at:
        assert (folder / "checkpoint.pt").exists()
        os.kill(os.getpid(), signal.SIGKILL)
    return supervised(LossSettings())(outputs, batch)

def validate(network):
    return float(sum(p.double().sum() for p in network.parameters()))

report = fit(network, photos().training_crops(32), loss, settings, folder, validate)
torch.save({"network": network.state_dict(), "curve": report.curve, "done": steps}, folder / "end.pt")
"""


class Gradual:
    """Blurred: a flat picture; sharp: the same, brighter by a quarter. Easy to learn."""

    def crop(self, rng: np.random.Generator, side: int) -> Crops:
        flat = np.full((side, side, 3), rng.integers(20, 150), np.uint8)
        return flat, (flat + 64).astype(np.uint8)


def settings(**values: float) -> FitSettings:
    return FitSettings(**({"steps": 40, "batch": 2, "crop": 16, "workers": 0} | values))


@pytest.mark.parametrize(
    ("step", "share"),
    [
        (0, 1 / 20),
        (9, 10 / 20),
        (19, 1),
        (20, 1),
        (210, 0.5),  # halfway down the cosine: (210 - 20) / (400 - 20) = 1/2
        (305, (1 + math.cos(0.75 * math.pi)) / 2),
        (400, 0),
    ],
)
def test_the_rate_rises_linearly_and_falls_along_a_cosine(step: int, share: float) -> None:
    assert learning_rate_share(step, settings(steps=400, warmup=0.05)) == pytest.approx(share, abs=1e-12)


@pytest.mark.parametrize(
    ("step", "share"),
    [(0, 1 / 4), (3, 1), (50, 1), (100, 1), (125, 0.5), (164, 0.2), (200, 0)],  # 1 - sqrt((step - 100) / 100)
)
def test_a_constant_rate_falls_in_the_last_steps_only(step: int, share: float) -> None:
    constant = settings(steps=200, schedule="constant", warmup_steps=4, decay_steps=100)
    assert learning_rate_share(step, constant) == pytest.approx(share, abs=1e-12)
    if step <= 100:
        endless = settings(steps=10**6, schedule="constant", warmup_steps=4)
        assert learning_rate_share(step, endless) == learning_rate_share(step, constant)


def test_a_decay_begun_at_any_step_ends_as_one_that_was_planned(tmp_path: Path) -> None:
    def trained(folder: str, **values: object) -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        network = nn.Conv2d(3, 3, 1)
        constant = settings(schedule="constant", warmup_steps=2, lr=1e-2, ema=0.0, checkpoint_every=1, **values)
        fit(network, Gradual(), supervised(LossSettings()), constant, tmp_path / folder)
        return network.state_dict()

    planned = trained("planned", steps=12, decay_steps=5)
    trained("begun", steps=7)
    begun = trained("begun", steps=12, decay_steps=5)
    assert all(torch.equal(planned[name], begun[name]) for name in planned)
    with pytest.raises(UserError, match="steps must be at least 12"):
        trained("begun", steps=9)


@pytest.mark.parametrize(("before", "after"), [("fp32", "fp16"), ("fp16", "bf16"), ("bf16", "fp32")])
def test_a_training_goes_on_in_another_precision_and_says_so(tmp_path: Path, before: str, after: str) -> None:
    network = nn.Conv2d(3, 3, 1)
    for steps, precision in ((4, before), (7, after)):
        values = {"steps": steps, "schedule": "constant", "precision": precision}
        report = fit(network, Gradual(), supervised(LossSettings()), settings(**values), tmp_path)
    assert report.steps == 7
    assert report.precisions == [{"first_step": 0, "precision": before}, {"first_step": 4, "precision": after}]


@pytest.mark.parametrize(("workers", "precision"), [("0", "fp32"), ("1", "fp16")])
def test_a_killed_training_ends_as_one_that_was_not(
    tmp_path: Path, run_python: Callable[..., object], workers: str, precision: str
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert run_python("-c", SCRIPT, str(whole), "0", workers, precision).returncode == 0
    assert run_python("-c", SCRIPT, str(killed), "6", workers, precision).returncode == -9
    assert not (killed / "end.pt").exists()
    assert run_python("-c", SCRIPT, str(killed), "0", workers, precision).returncode == 0
    expected, resumed = (torch.load(folder / "end.pt", weights_only=True) for folder in (whole, killed))
    assert (expected["done"], resumed["done"]) == (7, 3)
    assert expected["curve"] == resumed["curve"]
    assert [point["step"] for point in resumed["curve"]] == [3, 6, 7, 7]
    for name, tensor in expected["network"].items():
        assert torch.equal(tensor, resumed["network"][name]), name


def test_the_loss_falls_where_there_is_something_to_learn(tiny: Callable[..., nn.Module], tmp_path: Path) -> None:
    network = tiny()
    blurred = torch.full((1, 3, 16, 16), 100 / 255)
    before = (network(blurred)[-1] - blurred - 64 / 255).abs().mean().item()
    report = fit(network, Gradual(), supervised(LossSettings()), settings(lr=3e-3, ema=0.9, steps=60), tmp_path)
    after = (network(blurred)[-1] - blurred - 64 / 255).abs().mean().item()
    assert after < before / 3
    assert report.steps == 60
    assert not network.training
    assert [point["step"] for point in report.curve] == [50, 60]


def test_the_end_holds_the_moving_average(tmp_path: Path) -> None:
    network = nn.Conv2d(3, 3, 1)
    start = network.weight.detach().clone()
    seen: list[torch.Tensor] = []

    def loss(outputs: list[torch.Tensor], batch: object) -> dict[str, torch.Tensor]:
        seen.append(network.weight.detach().clone())
        return {"l1": outputs[0].abs().mean()}

    fit(network, Gradual(), loss, settings(steps=3, lr=0.1, warmup=0.0, ema=0.999), tmp_path)
    assert torch.equal(seen[0], start)
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    weights = [seen[1], seen[2], state["network"]["weight"]]
    # torch copies the first; then the decay is (1 + n) / (10 + n) for the n averaged so far.
    average = weights[0]
    for count, weight in enumerate(weights[1:], 1):
        decay = (1 + count) / (10 + count)
        average = decay * average + (1 - decay) * weight
    torch.testing.assert_close(network.weight.detach(), average)


def test_a_loss_that_is_not_finite_stops_and_names_the_checkpoint(
    tiny: Callable[..., nn.Module], tmp_path: Path
) -> None:
    steps = 0

    def loss(outputs: list[torch.Tensor], batch: object) -> dict[str, torch.Tensor]:
        nonlocal steps
        steps += 1
        return {"l1": outputs[-1].abs().mean() * (float("nan") if steps == 4 else 1)}

    with pytest.raises(UserError) as error:
        fit(tiny(), Gradual(), loss, settings(steps=6, checkpoint_every=2, lr=1e-3), tmp_path)
    assert str(error.value) == (
        "the training loss must stay finite; it became nan in step 4. "
        f"Lower lr (now 0.001); the last good checkpoint is {tmp_path / 'checkpoint.pt'}."
    )
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert state["step"] == 2
    assert all(tensor.isfinite().all() for tensor in state["network"].values())


def test_a_gradient_that_is_not_finite_stops_before_it_breaks_the_weights(tmp_path: Path) -> None:
    network = nn.Conv2d(3, 3, 1)
    before = network.weight.detach().clone()

    def loss(outputs: list[torch.Tensor], batch: object) -> dict[str, torch.Tensor]:
        return {"l1": (outputs[0] * 0).sum().sqrt()}  # zero, with a slope that is not a number

    with pytest.raises(
        UserError, match=r"^the norm of the gradient must stay finite; it became nan in step 1"
    ) as error:
        fit(network, Gradual(), loss, settings(steps=2), tmp_path)
    assert str(error.value).endswith("Lower lr (now 0.0008); there was no checkpoint yet.")
    assert torch.equal(network.weight, before)


def test_gradients_that_never_fit_into_fp16_stop_too(tmp_path: Path) -> None:
    network = nn.Conv2d(3, 3, 1)

    def loss(outputs: list[torch.Tensor], batch: object) -> dict[str, torch.Tensor]:
        return {"l1": (outputs[0] * 0).sum().sqrt()}

    with pytest.raises(UserError, match=r"^the norm of the gradient must stay finite; it became nan in step 18\."):
        fit(network, Gradual(), loss, settings(steps=30, precision="fp16"), tmp_path)


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    fit(nn.Conv2d(3, 3, 1), Gradual(), supervised(LossSettings()), settings(steps=1), tmp_path)
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"checkpoint\.pt must be a training's checkpoint; "):
        fit(nn.Conv2d(3, 3, 1), Gradual(), supervised(LossSettings()), settings(steps=2), tmp_path)


def test_crops_that_the_network_cannot_take_are_refused_at_once(tmp_path: Path) -> None:
    network = nn.Conv2d(3, 3, 1)
    network.size_multiple = 16
    phases = [{"name": "a", "share": 0.5, "crop": 32}, {"name": "b", "share": 0.5, "crop": 36}]
    with pytest.raises(UserError, match=r"^crops must be multiples of 16 for this network; got 36\. Set another crop"):
        fit(network, Gradual(), supervised(LossSettings()), settings(phases=phases), tmp_path)


def test_the_last_phase_ends_with_the_last_step() -> None:
    shares = (0.3333333, 0.3333333, 0.333333)
    phases = [{"name": str(share), "share": share} for share in shares]
    assert spans(settings(steps=1_577_250, phases=phases))[-1].end == 1_577_250


@pytest.mark.parametrize(("keep", "kept_step"), [("best", 4), ("last", 6)])
def test_the_weights_that_are_kept_are_judged_on_val(tmp_path: Path, keep: str, kept_step: int) -> None:
    network = nn.Conv2d(3, 3, 1)
    judged: list[torch.Tensor] = []

    def validate(average: nn.Module) -> float:
        judged.append(average.weight.detach().clone())
        return [20.0, 30.0, 25.0][len(judged) - 1]

    chosen = settings(steps=6, validate_every=2, lr=0.1, keep=keep)
    report = fit(network, Gradual(), supervised(LossSettings()), chosen, tmp_path, validate)
    assert report.kept_step == kept_step
    assert torch.equal(network.weight, judged[kept_step // 2 - 1])
    assert (report.last is None) == (keep == "last")
    assert report.last is None or torch.equal(report.last["weight"], judged[2])
    assert not torch.equal(judged[1], judged[2])


def test_the_rate_is_halved_at_equal_distances() -> None:
    paper = settings(steps=3000, schedule="halving", halvings=5, warmup=0.0)
    assert [learning_rate_share(step, paper) for step in (0, 499, 500, 1000, 2499, 2500, 2999)] == [
        1, 1, 1 / 2, 1 / 4, 1 / 16, 1 / 32, 1 / 32
    ]  # fmt: skip


def test_a_phase_with_coarse_scales_leaves_the_finest_output_alone(
    tiny: Callable[..., nn.Module], tmp_path: Path
) -> None:
    network = tiny()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    seen: list[list[int]] = []

    def loss(outputs: list[torch.Tensor], batch: object) -> dict[str, torch.Tensor]:
        seen.append([output.shape[-1] for output in outputs])
        return {"l1": sum(output.abs().mean() for output in outputs)}

    phases = [{"name": "coarse", "share": 0.5, "scales": 1}, {"name": "all", "share": 0.5, "crop": 32}]
    fit(network, Gradual(), loss, settings(steps=2, lr=0.1, weight_decay=0.0), tmp_path / "one")
    assert not torch.equal(network.out[2].weight, before["out.2.weight"])
    seen.clear()
    fit(tiny(), Gradual(), loss, settings(steps=4, phases=phases), tmp_path / "two")
    assert seen == [[4], [4], [8, 16, 32], [8, 16, 32]]


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_mixed_precision_learns_as_well(tiny: Callable[..., nn.Module], tmp_path: Path, precision: str) -> None:
    network, dtypes = tiny(), set()
    network.out[2].register_forward_hook(lambda _layer, _inputs, output: dtypes.add(output.dtype))
    chosen = settings(lr=3e-3, steps=50, precision=precision)
    report = fit(network, Gradual(), supervised(LossSettings()), chosen, tmp_path)
    assert dtypes == {{"bf16": torch.bfloat16, "fp16": torch.float16}[precision]}
    assert report.curve[-1]["l1"] < 0.4  # three scales, each wrong by 64 / 255 at the start
    assert all(p.dtype == torch.float32 for p in network.parameters())


def test_checkpointed_gradients_train_the_same_network(tiny: Callable[..., nn.Module], tmp_path: Path) -> None:
    passes = {False: 0, True: 0}
    ends = []
    for switch in passes:
        network = tiny()

        def count(*_: object, switch: bool = switch) -> None:
            passes[switch] += 1

        network.encoder[0][0].conv1.register_forward_hook(count)
        chosen = settings(steps=2, checkpoint_gradients=switch)
        fit(network, Gradual(), supervised(LossSettings()), chosen, tmp_path / str(switch))
        ends.append(network.state_dict())
    assert passes == {False: 2, True: 4}
    for name, tensor in ends[0].items():
        torch.testing.assert_close(ends[1][name], tensor, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(("started", "asked"), [("1", 2), ("2", 1)])
def test_another_number_of_processes_than_asked_for_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: str, asked: int
) -> None:
    monkeypatch.setenv("WORLD_SIZE", started)
    with pytest.raises(UserError) as error:
        fit(nn.Conv2d(3, 3, 1), Gradual(), supervised(LossSettings()), settings(processes=asked), tmp_path)
    assert str(error.value).startswith(f"training must run in {asked} process")
    assert "torchrun --nproc-per-node 2 -m recipes.cli train ... --processes 2" in str(error.value)


def test_a_tracker_that_is_not_installed_says_what_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("baseline.tracking.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"^track 'mlflow' must be installed; it is not\. Type: pip install 'light"):
        fit(nn.Conv2d(3, 3, 1), Gradual(), supervised(LossSettings()), settings(track="mlflow"), tmp_path)


def test_a_crop_larger_than_the_picture_is_refused(tmp_path: Path, noise: Callable[..., Picture]) -> None:
    from baseline.data.pairs import crop_corner

    with pytest.raises(UserError, match=r"^x must be at least 49 pixels a side; it is 64x48\. Set a smaller crop\.$"):
        crop_corner(np.random.default_rng(0), noise(48, 64), 49, "x")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("steps", 0),
        ("crop", 30),
        ("lr", -1e-3),
        ("warmup", 1.0),
        ("decay_steps", 3),
        ("ema", 1.0),
        ("precision", "int8"),
        ("augment", "dihedrall"),
        ("phases", [{"name": "a", "share": 0.7}]),
        ("loss", {"ssim": 0.1}),
        ("processes", 3),
    ],
)
def test_a_setting_out_of_range_is_refused_at_once(key: str, value: object) -> None:
    with pytest.raises((ValueError, UserError), match=key):
        settings(**{key: value})
