"""Networks that compute by themselves what their layers' kinds suggest, and twins that leave it to the layers."""

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.fx import GraphModule
from torch.nn import functional as F
from torch.nn.utils import parametrizations, weight_norm

from baseline.plain_layers import is_plain
from compress.batch_norms import spell_out_
from compress.graph import deployed_graph
from compress.phases import left_transposed
from compress.quantize import SCHEMES, Material, QuantizeReport
from compress.quantizing_settings import QuantizeSettings
from compress.rewriting import agreement_db, kept_if_same, outputs_on, why_not
from compress.runtimes.table import RUNTIMES, file_runtime, open_deployable


class Scaled(nn.ConvTranspose2d):
    """Equalized learning rate: the weights are scaled whenever they are used."""

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        return F.conv_transpose2d(x, self.weight * 0.1, self.bias, self.stride, self.padding)


class UpAndDown(nn.Module):
    size_multiple = 2

    def __init__(self, up: type[nn.ConvTranspose2d] = nn.ConvTranspose2d) -> None:
        super().__init__()
        self.head, self.down = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 16, 3, stride=2, padding=1)
        self.up, self.out = up(16, 8, 4, stride=2, padding=1), nn.Conv2d(8, 3, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        head = torch.relu(self.head(image))
        return image + self.out(torch.relu(self.up(torch.relu(self.down(head))) + head))


def scaled_and_twin() -> tuple[nn.Module, nn.Module]:
    """The same function, its transposed convolution once with weights that it scales, once with scaled weights."""
    torch.manual_seed(0)
    scaled, twin = UpAndDown(Scaled).eval(), UpAndDown().eval()
    with torch.no_grad():
        scaled.up.weight.mul_(10)
        twin.load_state_dict(scaled.state_dict())
        twin.up.weight.mul_(0.1)
    return scaled, twin


def int8(
    network: nn.Module, crops: list[Tensor], scheme: str = "int8", **settings: str
) -> tuple[nn.Module, QuantizeReport]:
    """What is opened of an INT8 artifact of the network, and what the stage says of it."""
    given = QuantizeSettings(scheme=scheme, calibration="minmax", **settings)
    state, report = SCHEMES[scheme].state(network, Material(crops, crops, lambda _: None), given)
    return SCHEMES[scheme].rebuild(copy.deepcopy(network), state, report.options, "cpu"), report


def agreement(quantized: nn.Module, network: nn.Module, picture: Tensor) -> float:
    return agreement_db(outputs_on(quantized, [picture]), outputs_on(network, [picture]))


@pytest.mark.parametrize("settings", [{}, {"sums": "int8"}, {"scheme": "int8-mixed"}, {"scheme": "int8-qat"}])
def test_a_layer_that_scales_its_weights_agrees_as_its_twin(
    settings: dict[str, str], crops: list[Tensor], photo_tensor: Tensor
) -> None:
    pair = scaled_and_twin()
    assert why_not(pair[0], crops, outputs_on(pair[1], crops)) is None
    found, reports = [], []
    for network in pair:
        quantized, report = int8(network, crops, **settings)
        found.append(agreement(quantized, network, photo_tensor))
        reports.append(report)
    assert found[1] > 45
    assert found[0] > found[1] - 3
    assert "up" in reports[0].in_float
    assert "up.phases" in [*reports[1].quantized, *reports[1].in_float]


@pytest.mark.parametrize(("runtime", "least_db"), [("onnxruntime", 45), ("openvino", 40)])
def test_a_file_of_such_a_layer_agrees_as_its_twins(
    runtime: str, least_db: float, crops: list[Tensor], photo_tensor: Tensor, tmp_path: Path
) -> None:
    found = []
    for network in scaled_and_twin():
        quantized, _ = int8(network, crops, sums="int8")
        path = tmp_path / f"network{RUNTIMES[runtime].suffix}"
        assert int(file_runtime(runtime).export(quantized, path, (64, 64))["integer_convolutions"]) >= 3
        restored = open_deployable(path)(photo_tensor)
        found.append(agreement_db([restored], outputs_on(network, [photo_tensor])))
    assert found[1] > least_db
    assert found[0] > found[1] - 3


def hooked() -> nn.Module:
    network = UpAndDown().eval()
    network.up.register_forward_hook(lambda layer, given, output: 0.3 * output)
    return network


def set_on_the_layer() -> nn.Module:
    network = UpAndDown().eval()
    up = network.up
    network.up.forward = lambda x: F.conv_transpose2d(x, 0.1 * up.weight, None, 2, 1)
    return network


class OutsideItsLayer(UpAndDown):
    """Its transposed convolution holds weights, which are used elsewhere."""

    def forward(self, image: Tensor) -> Tensor:
        down = self.down(self.head(image))
        return image + self.out(F.conv_transpose2d(down, 0.5 * self.up.weight, self.up.bias, 2, 1))


def normed() -> nn.Module:
    network = UpAndDown()
    parametrizations.weight_norm(network.up, dim=1)
    parametrizations.spectral_norm(network.out)
    return network.eval()


def normed_by_a_hook() -> nn.Module:
    network = UpAndDown()
    weight_norm(network.up)
    return network.eval()


@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm`:FutureWarning")
@pytest.mark.parametrize("make", [hooked, set_on_the_layer, OutsideItsLayer, normed, normed_by_a_hook])
def test_int8_is_nearly_what_the_network_is_whatever_its_layers_do(
    make: Callable[[], nn.Module], crops: list[Tensor]
) -> None:
    torch.manual_seed(0)
    network = make().eval()
    quantized, report = int8(network, crops)
    assert report.agreement_db > 45
    assert agreement(quantized, network, crops[0]) > 45


def test_a_layer_whose_replacement_is_not_the_same_stays_with_its_reason(crops: list[Tensor]) -> None:
    torch.manual_seed(0)
    network = OutsideItsLayer().eval()
    (reason,) = left_transposed(network, crops).values()
    assert reason.startswith("it stays a transposed convolution: the network breaks ('PhaseConv' object has no")
    _, report = int8(network, crops)
    assert report.options["left_transposed"] == ["up"]


@pytest.mark.parametrize(("up", "expected"), [(nn.ConvTranspose2d, True), (Scaled, False)])
def test_only_layers_of_the_very_kind_are_plain(up: type[nn.ConvTranspose2d], expected: bool) -> None:
    network = UpAndDown(up)
    assert is_plain(network.up, nn.ConvTranspose2d) is expected
    assert not is_plain(hooked().up, nn.ConvTranspose2d)
    assert not is_plain(set_on_the_layer().up, nn.ConvTranspose2d)
    assert is_plain(parametrizations.weight_norm(nn.ConvTranspose2d(2, 2, 2)), nn.ConvTranspose2d)
    assert not is_plain(parametrizations.weight_norm(Scaled(2, 2, 2)), nn.ConvTranspose2d)


class Around(nn.Module):
    """A BatchNorm with a connection around it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.last = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Conv2d(8, 3, 1)

    def forward(self, image: Tensor) -> Tensor:
        features = self.first(image)
        return self.last(torch.relu(self.norm(features)) + features)


class TwoNorms(nn.Module):
    """One convolution, used before each of two BatchNorms."""

    def __init__(self) -> None:
        super().__init__()
        self.both, self.norm, self.other = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3), nn.BatchNorm2d(3)

    def forward(self, image: Tensor) -> Tensor:
        return self.other(self.both(torch.relu(self.norm(self.both(image)))))


class SharedWeights(TwoNorms):
    """Two convolutions with the same weights, and a BatchNorm after one."""

    def __init__(self) -> None:
        super().__init__()
        self.second = nn.Conv2d(3, 3, 3, padding=1)
        self.second.weight = self.both.weight

    def forward(self, image: Tensor) -> Tensor:
        return self.second(torch.relu(self.norm(self.both(image))))


class Usual(TwoNorms):
    """A BatchNorm that can be folded."""

    def forward(self, image: Tensor) -> Tensor:
        return torch.relu(self.norm(self.both(image)))


@pytest.mark.parametrize(("kind", "spelled_out"), [(Around, 1), (TwoNorms, 2), (SharedWeights, 1), (Usual, 0)])
def test_norms_are_folded_only_into_weights_of_their_own(
    kind: type[nn.Module], spelled_out: int, crops: list[Tensor]
) -> None:
    torch.manual_seed(0)
    network = kind()
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.uniform_(-0.5, 0.5)
            layer.running_var.uniform_(0.02, 0.3)
    expected = outputs_on(network.eval(), crops)
    graph = deployed_graph(network, torch.zeros(1, 3, 64, 64))
    assert spell_out_(graph) == spelled_out
    assert why_not(graph, crops, expected) is None
    _, report = int8(network, crops, sums="int8")
    assert report.options["folds_norms"] is True
    assert report.agreement_db > 30


def test_a_rewriting_that_changes_the_output_is_left_out_with_its_reason(crops: list[Tensor]) -> None:
    network = UpAndDown().eval()
    graph = deployed_graph(network, torch.zeros(1, 3, 64, 64))

    def double_(tried: GraphModule) -> None:
        tried.get_parameter("network.out.bias").data.add_(0.01)

    kept, left_out = kept_if_same(graph, "brighter", double_, crops)
    assert kept is graph
    assert len(left_out) == 1
    assert left_out[0].startswith("brighter: left out, since the outputs differ by ")
    assert why_not(kept, crops, outputs_on(network, crops)) is None
    assert kept_if_same(graph, "nothing", lambda tried: None, crops)[1] == []
