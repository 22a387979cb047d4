"""Quantization schemes by name, and the one way to open any artifact as what is deployed.

Listing the schemes does not import torch: each one imports what it needs when it is used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from baseline.errors import UserError, first_line
from baseline.registry import Registry

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn
    from torch.fx import GraphModule

    from baseline.artifact import Artifact
    from compress.int8 import Plan
    from compress.quantizing_settings import QuantizeSettings

    Calibrated = Callable[[Plan], GraphModule]
    """The prepared and calibrated graph of a plan."""


@dataclass
class QuantizeReport:
    """What a scheme touched, and what it left in float for which reason. `options` are needed to rebuild it.

    `agreement_db`: the least PSNR of its outputs against the float network's, over a few of the crops.
    """

    scheme: str
    quantized: list[str]
    in_float: dict[str, str] = field(default_factory=dict)
    calibration: str = "none needed"
    options: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    layers: dict[str, Any] = field(default_factory=dict)
    agreement_db: float | None = None

    def as_json(self) -> dict[str, Any]:
        """The report as JSON holds it."""
        return asdict(self)


@dataclass(frozen=True)
class Material:
    """What a scheme may look at: training crops of 1,3,H,W in pairs, and for those that train the training itself."""

    blurred: list[Tensor]
    sharp: list[Tensor]
    fit: Callable[[nn.Module], None] | None = None

    def described(self) -> str:
        """Number, size and spread of the crops."""
        sides = f"{self.blurred[0].shape[-2]}x{self.blurred[0].shape[-1]}"
        deviation = sum(float(crop.std()) for crop in self.blurred) / len(self.blurred)
        low, high = min(float(c.min()) for c in self.blurred), max(float(c.max()) for c in self.blurred)
        return (
            f"{len(self.blurred)} training crops of {sides} pixels, values {low:.2f} to {high:.2f}, "
            f"mean standard deviation {deviation:.2f}"
        )


class Scheme(Protocol):
    """One way to store and compute with fewer bits."""

    dtype: str
    trains: bool

    def state(
        self, network: nn.Module, material: Material, settings: QuantizeSettings, /
    ) -> tuple[dict[str, Tensor], QuantizeReport]:
        """What the artifact keeps of a float network."""

    def rebuild(self, network: nn.Module, state: dict[str, Tensor], options: dict[str, Any], device: str) -> nn.Module:
        """The quantized network for a device, from what was kept and a float network of the right shape.

        The weights of that do not matter.
        """


SCHEMES: Registry[Scheme] = Registry("quantization scheme")


def _register(name: str, scheme: Scheme) -> None:
    SCHEMES.register(name)(scheme)


def _layers_with_weights(network: nn.Module) -> list[str]:
    return [name for name, layer in network.named_modules() if next(layer.parameters(recurse=False), None) is not None]


class _HalfPrecision:
    """FP16: weights in half the bytes. Arithmetic in FP16 on GPUs and CPUs that have it, elsewhere in FP32, as fast."""

    dtype = "fp16"
    trains = False

    def _torch_dtype(self) -> torch.dtype:
        import torch

        return torch.float16

    def _notes(self, network: nn.Module, material: Material) -> list[str]:
        from compress.half import check_range

        return [check_range(network, material.blurred)]

    def state(
        self, network: nn.Module, material: Material, _settings: QuantizeSettings
    ) -> tuple[dict[str, Tensor], QuantizeReport]:
        check_calibration(material.blurred)
        notes = self._notes(network, material)
        dtype = self._torch_dtype()
        state = {name: t.to(dtype) if t.is_floating_point() else t for name, t in network.state_dict().items()}
        report = QuantizeReport(self.dtype, _layers_with_weights(network), notes=notes)
        self._compare(network, state, material, report)
        return state, report

    def _compare(
        self, network: nn.Module, state: dict[str, Tensor], material: Material, report: QuantizeReport
    ) -> None:
        """Note how the network in this precision agrees with itself in FP32; a UserError if it is another function.

        Half-precision arithmetic is looked at everywhere, since a GPU may open the artifact.
        """
        from compress.arithmetic import arithmetic_text
        from compress.half import agreement_of_half
        from compress.rewriting import copied

        report.notes.append(arithmetic_text(self.dtype, "cpu"))
        here = self.rebuild(copied(network), state, {}, "cpu")
        report.agreement_db, _ = agreement_of_half(network, here, self._torch_dtype(), material.blurred)
        try:
            half = self._in_half(copied(network), state)
            _, within = agreement_of_half(network, half, self._torch_dtype(), material.blurred)
        except RuntimeError as error:
            within = f"half-precision arithmetic was not looked at, since this CPU cannot run it: {first_line(error)}"
        report.notes.append(within)

    def _in_half(self, network: nn.Module, state: dict[str, Tensor]) -> nn.Module:
        from compress.half import HalfPrecision

        network.to(self._torch_dtype()).load_state_dict(state)
        return HalfPrecision(network, self._torch_dtype())

    def rebuild(self, network: nn.Module, state: dict[str, Tensor], _options: dict[str, Any], device: str) -> nn.Module:
        from compress.arithmetic import computes_in
        from compress.half import HalfWeights

        if computes_in(self.dtype, device):
            return self._in_half(network, state)
        network.load_state_dict(state)
        return HalfWeights(network, self._torch_dtype()).eval()


class _BFloat16(_HalfPrecision):
    """BF16: as fp16, with the range of FP32 and 8 bits of precision."""

    dtype = "bf16"

    def _torch_dtype(self) -> torch.dtype:
        import torch

        return torch.bfloat16

    def _notes(self, network: nn.Module, material: Material) -> list[str]:
        from compress.half import check_finite

        check_finite(network, material.blurred)
        return []


class _Int8:
    """INT8 post-training: integer convolutions, ranges from calibration crops. For CPUs with VNNI or AMX."""

    dtype = "int8"
    trains = False

    def state(
        self, network: nn.Module, material: Material, settings: QuantizeSettings
    ) -> tuple[dict[str, Tensor], QuantizeReport]:
        from compress import int8
        from compress.half import check_finite
        from compress.phases import left_transposed
        from compress.rewriting import agreement_db, outputs_on, some_crops
        from compress.scales import raise_scales_

        check_calibration(material.blurred)
        crops = some_crops(material.blurred, network.eval())
        check_finite(network, crops)
        expected = outputs_on(network, crops)

        def calibrated(plan: Plan) -> GraphModule:
            prepared = int8.prepare(network, plan, settings.calibration, any_batch=self.trains)
            int8.calibrate_(prepared, material.blurred)
            return prepared

        report = QuantizeReport("", [], calibration=f"{settings.calibration} of {material.described()}")
        report.in_float = left_transposed(network, crops)
        base = int8.Plan(sums=settings.sums, left_transposed=tuple(report.in_float))
        base, prepared = _same_function(base, calibrated, crops, expected, report)
        plan = self._plan(base, calibrated, material, settings, report)
        prepared = prepared if plan == base else calibrated(plan)
        self._trained_(prepared, material)
        report.notes += raise_scales_(prepared)
        # Converting consumes the prepared network, and a converted state cannot be loaded again: keep the prepared one.
        state = {name: tensor.detach().clone() for name, tensor in prepared.state_dict().items()}
        converted = int8.convert(int8.restored(network, plan, state))
        report.agreement_db = agreement_db(outputs_on(converted, crops), expected)
        report.quantized, in_float = int8.census(converted)
        report.in_float = in_float | {name: reason for name, reason in report.in_float.items() if name in in_float}
        report.options = plan.as_json()
        return state, report

    def _plan(
        self, plan: Plan, _calibrated: Calibrated, _material: Material, _given: QuantizeSettings, _to: QuantizeReport
    ) -> Plan:
        """No layer stays in float by choice."""
        return plan

    def _trained_(self, prepared: GraphModule, material: Material) -> None:
        """Nothing is trained."""

    def rebuild(self, network: nn.Module, state: dict[str, Tensor], options: dict[str, Any], _device: str) -> nn.Module:
        from compress import int8

        return int8.convert(int8.restored(network, int8.Plan.from_json(options), state))


def _same_function(
    plan: Plan, calibrated: Calibrated, crops: list[Tensor], expected: list[Tensor], report: QuantizeReport
) -> tuple[Plan, GraphModule]:
    """A plan whose prepared graph computes in float what the network computes, and that graph; a UserError for none."""
    from compress.rewriting import why_not

    prepared = calibrated(plan)
    reason = why_not(prepared, crops, expected)
    if reason is not None:
        report.notes.append(f"BatchNorms are not folded into convolutions: folded, {reason}")
        plan = replace(plan, folds_norms=False)
        prepared = calibrated(plan)
        reason = why_not(prepared, crops, expected)
    if reason is not None:
        raise UserError(
            f"the graph that is quantized must give what the network gives; {reason}. Let the network do the same for "
            "pictures of all sizes and contents, or take scheme fp16."
        )
    return plan, prepared


class _Int8Mixed(_Int8):
    """INT8 post-training, the most harmful layers left in float: as few as keep the loss under max_loss_db."""

    def _plan(
        self, plan: Plan, calibrated: Calibrated, material: Material, given: QuantizeSettings, to: QuantizeReport
    ) -> Plan:
        from compress.mixed import choose_layers

        pairs = list(zip(material.blurred, material.sharp, strict=True))
        choice = choose_layers(plan, calibrated, pairs, given.max_loss_db)
        to.in_float |= dict.fromkeys(choice.in_float, f"kept in float to lose at most {given.max_loss_db:g} dB")
        to.layers = choice.as_json()
        return replace(plan, in_float=choice.in_float)


class _Int8Aware(_Int8):
    """INT8 quantization-aware: trained on with INT8 simulated, guided by the teacher; then as int8."""

    trains = True

    def _trained_(self, prepared: GraphModule, material: Material) -> None:
        from compress.aware import train_simulated_

        if material.fit is None:
            raise ValueError("quantization-aware training needs a training")
        train_simulated_(prepared, material.fit)


_register("bf16", _BFloat16())
_register("fp16", _HalfPrecision())
_register("int8", _Int8())
_register("int8-mixed", _Int8Mixed())
_register("int8-qat", _Int8Aware())


def quantize(artifact: Artifact, material: Material, settings: QuantizeSettings, folder: Path) -> QuantizeReport:
    """Write a quantized artifact. A UserError if calibration crops say nothing, or if the scheme touches no layer."""
    from baseline.restorer import check_crops

    check_crops({crop.shape[-1] for crop in material.blurred}, artifact.network)
    state, report = SCHEMES[settings.scheme].state(artifact.network, material, settings)
    report.scheme = settings.scheme
    if not report.quantized:
        raise UserError(
            f"scheme '{settings.scheme}' must quantize at least one layer of the network; it quantized none."
        )
    artifact.save(folder, state, {"scheme": settings.scheme, **report.options})
    return report


def check_calibration(crops: list[Tensor]) -> None:
    """A UserError if the crops hold numbers that are not finite, or each nothing but one colour."""
    if not all(bool(crop.isfinite().all()) for crop in crops):
        raise UserError("calibration crops must hold finite numbers; some hold NaN or infinity. Choose other pictures.")
    if all(bool((crop == crop[..., :1, :1]).all()) for crop in crops):
        raise UserError("calibration crops must show something; each is of one colour. Choose real pictures.")


def open_artifact(folder: Path, device: str = "cpu") -> nn.Module:
    """Any artifact as the network that is deployed on cpu or cuda: the finest output only, quantized if it is."""
    from baseline.artifact import check_code, load, read_manifest, read_state, rebuild
    from baseline.restorer import Finest

    check_code(folder)
    manifest = read_manifest(folder)
    if manifest.quantization is None:
        return Finest(load(folder).network).eval()
    options = dict(manifest.quantization)
    scheme = SCHEMES[options.pop("scheme")]
    return scheme.rebuild(rebuild(manifest), read_state(folder, manifest), options, device)


def dtype_of(folder: Path) -> str:
    """The precision of an artifact's weights, as the report names it."""
    from baseline.artifact import read_manifest

    quantization = read_manifest(folder).quantization
    return "fp32" if quantization is None else SCHEMES[quantization["scheme"]].dtype
