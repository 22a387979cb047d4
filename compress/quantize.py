"""Quantization schemes by name, and the one way to open any artifact as what is deployed.

Listing the schemes does not import torch: each one imports what it needs when it is used.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from baseline.errors import UserError
from baseline.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor, nn

    from baseline.artifact import Artifact


@dataclass
class QuantizeReport:
    """What a scheme touched, and what it left in float for which reason. `options` are needed to rebuild it."""

    scheme: str
    quantized: list[str]
    in_float: dict[str, str] = field(default_factory=dict)
    calibration: str = "none needed"
    options: dict[str, int] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The report as JSON holds it."""
        return asdict(self)


class Scheme(Protocol):
    """One way to store and compute with fewer bits."""

    dtype: str
    needs_calibration: bool

    def state(self, network: nn.Module, crops: list[Tensor], /) -> tuple[dict[str, Tensor], QuantizeReport]:
        """What the artifact keeps of a float network, from calibration crops of 1,3,H,W where they are needed."""

    def rebuild(self, network: nn.Module, state: dict[str, Tensor], options: dict[str, int]) -> nn.Module:
        """The quantized network, from a float one of the right shape (its weights do not matter) and what was kept."""


SCHEMES: Registry[Scheme] = Registry("quantization scheme")


def _register(name: str, scheme: Scheme) -> None:
    SCHEMES.register(name)(scheme)


class _HalfPrecision:
    """FP16: half-precision weights and arithmetic, FP32 in and out. For GPUs; on CPUs fast with AMX-FP16, else slow."""

    dtype = "fp16"
    needs_calibration = False

    def state(self, network: nn.Module, _crops: list[Tensor]) -> tuple[dict[str, Tensor], QuantizeReport]:
        layers = [
            name for name, layer in network.named_modules() if next(layer.parameters(recurse=False), None) is not None
        ]
        state = {name: t.half() if t.is_floating_point() else t for name, t in network.state_dict().items()}
        return state, QuantizeReport("fp16", layers)

    def rebuild(self, network: nn.Module, state: dict[str, Tensor], _options: dict[str, int]) -> nn.Module:
        from compress.half import HalfPrecision

        network.half().load_state_dict(state)
        return HalfPrecision(network)


class _Int8:
    """INT8 post-training: integer convolutions, ranges from calibration crops. For CPUs with VNNI or AMX."""

    dtype = "int8"
    needs_calibration = True

    def state(self, network: nn.Module, crops: list[Tensor]) -> tuple[dict[str, Tensor], QuantizeReport]:
        from compress import int8

        bits = int8.weight_bits_here()
        prepared = int8.prepare(network, bits)
        int8.calibrate_(prepared, crops)
        # Converting consumes the prepared network, and a converted state cannot be loaded again: keep the prepared one.
        state = {name: tensor.clone() for name, tensor in prepared.state_dict().items()}
        quantized, in_float = int8.census(int8.convert(prepared))
        return state, QuantizeReport("int8", quantized, in_float, options={"weight_bits": bits})

    def rebuild(self, network: nn.Module, state: dict[str, Tensor], options: dict[str, int]) -> nn.Module:
        from compress import int8

        prepared = int8.prepare(network, options.get("weight_bits", 8))
        int8.restore_state_(prepared, state)
        return int8.convert(prepared)


_register("fp16", _HalfPrecision())
_register("int8", _Int8())


def quantize(artifact: Artifact, crops: list[Tensor], scheme_name: str, folder: Path) -> QuantizeReport:
    """Write a quantized artifact. A UserError if calibration crops say nothing, or if the scheme touches no layer."""
    scheme = SCHEMES[scheme_name]
    if scheme.needs_calibration:
        check_calibration(crops)
    state, report = scheme.state(artifact.network, crops)
    if not report.quantized:
        raise UserError(
            f"scheme '{scheme_name}' must quantize at least one layer of the network; the network has none."
        )
    if scheme.needs_calibration:
        report.calibration = f"{len(crops)} training crops of {crops[0].shape[-1]} pixels a side"
    artifact.save(folder, state, {"scheme": scheme_name, **report.options})
    return report


def check_calibration(crops: list[Tensor]) -> None:
    """A UserError if the crops hold numbers that are not finite, or nothing but one value."""
    if not all(bool(crop.isfinite().all()) for crop in crops):
        raise UserError("calibration crops must hold finite numbers; some hold NaN or infinity. Choose other pictures.")
    if all(bool((crop == crops[0].flatten()[0]).all()) for crop in crops):
        raise UserError("calibration crops must differ; all hold one value. Choose real pictures.")


def open_artifact(folder: Path) -> nn.Module:
    """Any artifact as the network that is deployed: the finest output only, quantized if it is."""
    from baseline.artifact import load, read_manifest, read_state, rebuild
    from baseline.restorer import Finest

    manifest = read_manifest(folder)
    if manifest.quantization is None:
        return Finest(load(folder).network).eval()
    options = dict(manifest.quantization)
    scheme = SCHEMES[options.pop("scheme")]
    return scheme.rebuild(rebuild(manifest), read_state(folder, manifest), options)


def dtype_of(folder: Path) -> str:
    """The arithmetic of an artifact, as the report names it."""
    from baseline.artifact import read_manifest

    quantization = read_manifest(folder).quantization
    return "fp32" if quantization is None else SCHEMES[quantization["scheme"]].dtype
