"""INT8 through PyTorch 2 export (torchao's PT2E): real integer convolutions.

On x86 CPUs without VNNI the compiled convolutions add pairs of products in 16 bits, which saturate: there the weights
get 7 bits, so that two products of at most 255 * 64 fit. Measured on the shipped teacher: with 8 bits its file agrees
with its FP32 outputs to 32 to 44 dB, where the graph that it was compiled from agrees to 48 to 53 dB.
"""

import logging
import warnings
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.fx import GraphModule

# torchao warns on import about CUDA libraries of its own that a CPU machine cannot load.
logging.getLogger("torchao").setLevel(logging.ERROR)
logging.getLogger("torch.utils._pytree").setLevel(logging.ERROR)
# Copying an exported graph, as a moving average does, meets a name that torch itself will change.
warnings.filterwarnings("ignore", message=".*LeafSpec", category=FutureWarning)

from torchao.quantization.pt2e.observer import PerChannelMinMaxObserver  # noqa: E402  after the loggers are quiet
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e  # noqa: E402
from torchao.quantization.pt2e.quantizer import Quantizer  # noqa: E402
from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer as x86  # noqa: E402

from baseline.errors import UserError  # noqa: E402
from baseline.restorer import size_for, state_sizes_  # noqa: E402
from compress.batch_norms import spell_out_  # noqa: E402
from compress.calibration import CALIBRATIONS  # noqa: E402
from compress.graph import deployed_graph, layer_name, state_limits_  # noqa: E402
from compress.known import SMALLEST, Known, settle_  # noqa: E402
from compress.machine import saturates_int8  # noqa: E402
from compress.phases import without_transposed  # noqa: E402
from compress.placing import IntegerSums  # noqa: E402

_TRACED_SIDE = 64
_LAYERS = ("conv2d", "conv_transpose2d", "convolution", "linear")


def weight_bits_here() -> int:
    """The bits of a weight with which integer convolutions are right on this machine."""
    return 7 if saturates_int8() else 8


@dataclass(frozen=True)
class Plan:
    """What is rounded to integers, and to how many bits: all that is needed to prepare a network again.

    `left_transposed`: transposed convolutions that stay; `folds_norms`: BatchNorms go into the layer before them.
    """

    weight_bits: int = field(default_factory=weight_bits_here)
    sums: Literal["float", "int8"] = "float"
    in_float: tuple[str, ...] = ()
    left_transposed: tuple[str, ...] = ()
    folds_norms: bool = True

    def as_json(self) -> dict[str, Any]:
        """The plan as JSON holds it."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> "Plan":
        """The plan from what `as_json` gave."""
        try:
            lists = {name: tuple(stored.get(name, ())) for name in ("in_float", "left_transposed")}
            return cls(**{**stored, **lists})
        except (KeyError, TypeError):
            raise UserError(
                "the artifact must be one that this version of lightsharp quantized; its options are others. "
                "Quantize the network again."
            ) from None


def prepare(network: nn.Module, plan: Plan, calibration: str = "histogram", any_batch: bool = False) -> GraphModule:
    """The deployed graph of a float network with observers before and after what will be quantized.

    It takes one picture at a time or, with `any_batch`, several, as training does.
    """
    batch = 2 if any_batch else 1
    example = torch.zeros(batch, 3, *size_for(network, (_TRACED_SIDE, _TRACED_SIDE)))
    graph = deployed_graph(without_transposed(network.eval(), plan.left_transposed), example)
    spell_out_(graph, every=not plan.folds_norms)
    try:
        prepared: GraphModule = prepare_pt2e(graph, _quantizer(plan, CALIBRATIONS[calibration]()))
    except ValueError as error:
        # So of a layer that the network uses more than once.
        raise UserError(
            f"the network must be one whose operators torchao's quantizer can tell apart; it says: {error}. "
            "Quantize with sums: int8, which goes by single operators."
        ) from None
    state_limits_(prepared, network, batch)
    return prepared


def _quantizer(plan: Plan, observer: Any) -> Quantizer:
    default = x86.get_default_x86_inductor_quantization_config()
    limit = 2 ** (plan.weight_bits - 1)
    activation = replace(default.input_activation, observer_or_fake_quant_ctr=observer.with_args(eps=SMALLEST))
    weight = replace(
        default.weight,
        quant_min=-limit,
        quant_max=limit - 1,
        observer_or_fake_quant_ctr=PerChannelMinMaxObserver.with_args(eps=SMALLEST),
    )
    if plan.sums == "int8":
        return IntegerSums(activation, weight, plan.in_float)
    settings = replace(default, input_activation=activation, output_activation=activation, weight=weight)
    quantizer = x86.X86InductorQuantizer().set_global(settings)
    for name in plan.in_float:
        quantizer.set_module_name_qconfig(f"network.{name}", None)
    return quantizer


@torch.no_grad()
def calibrate_(prepared: GraphModule, crops: Iterable[Tensor]) -> None:
    """Let the observers see the crops, each 1,3,H,W; then put what they found out in their place."""
    for crop in crops:
        prepared(crop)
    settle_(prepared)


def convert(prepared: GraphModule) -> GraphModule:
    """The quantized network. It consumes the prepared one."""
    sizes = nn.Module()
    state_sizes_(sizes, prepared)
    converted: GraphModule = convert_pt2e(prepared)
    state_limits_(converted, sizes)
    return converted


def restored(network: nn.Module, plan: Plan, state: dict[str, Tensor]) -> GraphModule:
    """The prepared graph of a float network of the right shape with the weights and scales that were kept.

    A UserError if they were kept by a version that prepared networks in another way.
    """
    prepared = prepare(network, plan, "minmax")
    for name, module in list(prepared.named_modules(remove_duplicate=False)):
        if f"{name}.scale" in state and hasattr(module, "calculate_qparams"):
            known = Known.like(module)
            known.scale, known.zero_point = state[f"{name}.scale"], state[f"{name}.zero_point"]
            prepared.set_submodule(name, known)
    unlike = set(prepared.state_dict()) ^ set(state)
    if unlike:
        raise UserError(
            "the artifact must be one that this version of lightsharp quantized; its weights have other names "
            f"({min(unlike)}). Quantize the network again."
        )
    prepared.load_state_dict(state)
    return prepared


def census(converted: GraphModule) -> tuple[list[str], dict[str, str]]:
    """The layers whose product with weights became integer, and those whose stayed in float, each with the reason."""
    quantized: list[str] = []
    in_float: dict[str, str] = {}
    for node in converted.graph.nodes:
        operator = str(node.target).split(".")[1] if node.op == "call_function" and "aten." in str(node.target) else ""
        if operator not in _LAYERS:
            continue
        layer = layer_name(node)
        if all("dequantize" in str(argument.target) for argument in node.args[:2]):
            quantized.append(layer)
        elif operator == "conv_transpose2d":
            in_float[layer] = "a transposed convolution that cannot be computed exactly as an ordinary one"
        else:
            in_float[layer] = f"the quantizer found no integer pattern for this {operator}"
    return quantized, in_float
