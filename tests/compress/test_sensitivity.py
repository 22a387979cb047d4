import copy
import json
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from baseline.data.loader import Batch
from baseline.restorer import outputs_of
from compress.channels import Channels
from compress.sensitivity import Point, Sensitivity, measure_sensitivity

Tiny = Callable[..., nn.Module]


def curves(*points: tuple[float, float]) -> Sensitivity:
    """A curve of one group, `a`, from ratios and output changes."""
    return Sensitivity(
        "l2", 4, 32, 30.0, {"a": [Point(ratio, 0.1, change, ratio) for ratio, change in points]}, {"out": "it"}
    )


def test_a_curve_is_what_really_removing_the_channels_does(tiny: Tiny, crops: list[Tensor]) -> None:
    network = tiny()
    with torch.no_grad():
        network.decoder[1][0].conv1.bias.add_(1)  # so that its ReLU lets something through of every channel
    channels = Channels(network)
    sharp = torch.cat(crops)[..., :32, :32]
    batches = [Batch((part + 0.05 * torch.rand_like(part)).clamp(0, 1), part) for part in sharp.split([3, 1])]
    order = torch.randperm(16, generator=torch.Generator().manual_seed(0)).tolist()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    psnr_db, measured = measure_sensitivity(network, channels, {"decoder.1.0.conv1": order}, batches, (0.5, 0.25, 0.99))
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())

    def restored(removed: list[int]) -> Tensor:
        pruned = copy.deepcopy(network)
        channels.remove_(pruned, {"decoder.1.0.conv1": removed})
        with torch.no_grad():
            return torch.cat([outputs_of(pruned, batch.blurred)[-1] for batch in batches]).double()

    def psnr(output: Tensor) -> float:
        squared = (output.clamp(0, 1) - sharp).square().flatten(1).mean(1)
        return float((10 * (1 / squared).log10()).mean())

    whole = restored([])
    assert psnr_db == pytest.approx(psnr(whole), abs=1e-4)
    # Of 16 channels, 4, 8, and all but one.
    for point, (ratio, count) in zip(measured["decoder.1.0.conv1"], [(0.25, 4), (0.5, 8), (0.99, 15)], strict=True):
        cut = restored(order[:count])
        assert point.ratio == ratio
        assert point.output_change == pytest.approx(float((cut - whole).square().mean()), rel=1e-3)
        assert point.output_change > 0
        assert point.psnr_loss_db == pytest.approx(psnr(whole) - psnr(cut), abs=1e-4)


@pytest.mark.parametrize(
    ("ratio", "damage"),
    [(0.0, 0.0), (0.125, 0.5), (0.25, 1.0), (0.375, 2.0), (0.5, 3.0), (0.6, 3.0), (0.75, 3.0), (0.8, 5.0)],
)
def test_damage_lies_on_straight_lines_and_never_falls(ratio: float, damage: float) -> None:
    # The measured fall to 2 at 0.75 is taken for chance.
    measured = curves((0.25, 1.0), (0.5, 3.0), (0.75, 2.0), (0.85, 7.0))
    assert measured.damage("a", ratio) == pytest.approx(damage)


def test_damage_rises_steeply_beyond_what_was_measured() -> None:
    measured = curves((0.5, 1.0), (0.9, 2.0))
    assert measured.damage("a", 0.95) > 2.0
    assert measured.damage("a", 1.0) > measured.damage("a", 0.95)


def test_curves_come_back_from_their_json() -> None:
    measured = curves((0.25, 1.0), (0.5, 3.0))
    assert Sensitivity.from_json(json.loads(json.dumps(measured.as_json()))) == measured
