"""A run of seven variants as it could have been; the tests' expected values are computed by hand from these numbers."""

from typing import Any

import pytest

from baseline.measurement import METRICS, Measurement
from reports.record import Effort, GateVerdict, LatencyRow, PictureRow, Report, RunInfo, Variant

NO_VNNI = "int8 needs AVX512-VNNI here; this CPU has none"
ERROR = "the loss stopped being finite at step 212; type --set variants.ds-distilled.0.distill.lr=1e-4"
PICTURES = ("eiffelTower", "giraffe")


def metrics(params: int, macs: int, file_mb: float, psnr_db: float, ssim: float) -> dict[str, Measurement]:
    counted = "fvcore, the deployed graph, 1x3x256x256"
    scored = "24 pairs of photos"
    return {
        "params": METRICS["params"].measured(params, counted),
        "macs": METRICS["macs"].measured(macs, counted),
        "file_mb": METRICS["file_mb"].measured(file_mb, ""),
        "psnr_db": METRICS["psnr_db"].measured(psnr_db, scored),
        "ssim": METRICS["ssim"].measured(ssim, scored),
    }


def against_teacher(loss: float, low: float, high: float, kept: float) -> dict[str, Measurement]:
    return {
        "psnr_loss_db": METRICS["psnr_loss_db"].measured(loss, "paired by picture", (low, high)),
        "gain_kept": METRICS["gain_kept"].measured(kept, "means"),
    }


def timed(median: float, dtype: str = "float32", file: str | None = "model.pt2") -> LatencyRow:
    return LatencyRow(
        runtime="aoti",
        device="cpu",
        dtype=dtype,
        threads=2,
        batch=1,
        size=(256, 256),
        median_ms=median,
        p10_ms=0.95 * median,
        p90_ms=1.10 * median,
        file=file,
    )


def untimed(reason: str) -> LatencyRow:
    return LatencyRow(runtime="aoti", device="cpu", dtype="int8", threads=2, batch=1, size=(256, 256), missing=reason)


def pictures(psnr_db: float, ssim: float) -> list[PictureRow]:
    return [PictureRow(name=name, group="monuments", psnr_db=psnr_db + i, ssim=ssim) for i, name in enumerate(PICTURES)]


def kept_gate(measured: float) -> GateVerdict:
    return GateVerdict(gate="min_gain_kept", limit=0.85, measured=measured, passed=measured >= 0.85)


@pytest.fixture
def teacher() -> Variant:
    return Variant(
        name="photos",
        chain=["photos"],
        metrics=metrics(1_000_000, 8_000_000_000, 4.0, 30.0, 0.9),
        latency=[timed(200.0)],
        pictures=pictures(30.5, 0.91),
    )


@pytest.fixture
def variants() -> list[Variant]:
    curve = [{"step": 50.0 * i, "content": 0.2 / i, "frequency": 0.5 / i**0.5} for i in range(1, 13)]
    return [
        Variant(
            name="pruned-30",
            chain=["prune: {params_cut: 0.3}", "train: {steps: 300}"],
            metrics=metrics(700_000, 5_600_000_000, 2.8, 29.9, 0.895) | against_teacher(0.1, 0.05, 0.15, 0.95),
            latency=[timed(150.0)],
            effort=Effort(steps=300, minutes=4.25, pictures=2400),
            gates=[kept_gate(0.95)],
            details=[
                {"removed": {"encoder.0": 8, "encoder.1": 12}, "kept": list(range(32)), "criterion": "taylor"},
                {"curve": curve, "seed": 0, "resumed": False},
            ],
            pictures=pictures(30.4, 0.905),
        ),
        Variant(
            name="pruned-50",
            chain=["prune: {params_cut: 0.5}", "train: {steps: 300}"],
            metrics=metrics(500_000, 4_100_000_000, 2.0, 29.6, 0.88) | against_teacher(0.4, 0.3, 0.5, 0.8),
            latency=[timed(120.0)],
            effort=Effort(steps=300, minutes=3.5, pictures=2400),
            gates=[kept_gate(0.8)],
            pictures=pictures(30.0, 0.89),
        ),
        Variant(name="ds-distilled", chain=["distill: {student: mimo-unet-ds}"], status="failed", error=ERROR),
        Variant(
            name="fp16",
            chain=["quantize: {scheme: fp16}"],
            metrics=metrics(1_000_000, 8_000_000_000, 2.0, 30.0, 0.9) | against_teacher(0.0, -0.01, 0.01, 1.0),
            latency=[timed(260.0, "float16")],
            effort=Effort(minutes=0.1),
            gates=[kept_gate(1.0)],
            pictures=pictures(30.5, 0.91),
        ),
        Variant(
            name="int8",
            chain=["quantize: {scheme: int8}"],
            metrics=metrics(1_000_000, 8_000_000_000, 1.1, 29.8, 0.89) | against_teacher(0.2, 0.15, 0.25, 0.9),
            latency=[timed(110.0, "int8")],
            effort=Effort(minutes=0.4, pictures=64),
            gates=[kept_gate(0.9)],
            pictures=pictures(30.3, 0.9),
        ),
        Variant(
            name="pruned-30-int8",
            chain=["prune: {params_cut: 0.3}", "train: {steps: 300}", "quantize: {scheme: int8}"],
            metrics=metrics(700_000, 5_600_000_000, 0.8, 29.75, 0.888) | against_teacher(0.25, 0.2, 0.3, 0.875),
            latency=[untimed(NO_VNNI)],
            effort=Effort(steps=300, minutes=4.65, pictures=2464),
            gates=[kept_gate(0.875)],
            pictures=pictures(30.2, 0.9),
        ),
        Variant(
            name="pruned-50-int8",
            chain=["prune: {params_cut: 0.5}", "train: {steps: 300}", "quantize: {scheme: int8}"],
            metrics=metrics(500_000, 4_100_000_000, 0.6, 29.5, 0.875) | against_teacher(0.5, 0.4, 0.6, 0.75),
            latency=[timed(80.0, "int8")],
            effort=Effort(steps=300, minutes=3.9, pictures=2464),
            gates=[kept_gate(0.75)],
            pictures=pictures(29.9, 0.88),
        ),
    ]


@pytest.fixture
def report(teacher: Variant, variants: list[Variant]) -> Report:
    run = RunInfo(
        name="classics",
        description="The classic methods | and chains <img onerror=alert(1)> against one teacher.",
        data="photos, 24 test pairs",
        conditions=["PSNR on 8-bit pictures, borders included", "latency: 1x3x256x256, 2 threads, runtimes in turn"],
        environment={"cpu": "Intel Xeon 2 cores", "torch": "2.13.0", "python": "3.11.9"},
        command="lightsharp run classics --out runs/classics",
        blurred_psnr_db=28.0,
        blurred_ssim=0.82,
        sample_pictures=list(PICTURES),
    )
    return Report(run=run, teacher=teacher, variants=variants)


@pytest.fixture
def curves() -> dict[str, Any]:
    """Eight groups at three shares. On the scale, -0.05, 0.45 and 4.95 dB are -log10(2), 1 and 2."""
    at_half = {"head": 0.45, "body.0": 0.2, "body.1": 4.95, "body.2": 0.3, "body.3": 0.1, "body.4": -0.05}
    at_half |= {"body.5": 0.25, "tail": 0.01}
    return {
        "criterion": "taylor",
        "crops": 12,
        "crop": 96,
        "psnr_db": 29.876,
        "groups": {
            name: [
                {"ratio": 0.25, "psnr_loss_db": loss / 2, "output_change": 1e-5},
                {"ratio": 0.5, "psnr_loss_db": loss, "output_change": 2e-5},
                {"ratio": 0.9, "psnr_loss_db": 1.0, "output_change": 4e-5},
            ]
            for name, loss in at_half.items()
        },
        "protected": {"out.0": "its channels are those of an output", "out.1": "its channels are those of an output"},
    }


@pytest.fixture
def prune_details(curves: dict[str, Any]) -> dict[str, Any]:
    return {
        "asked": {"latency_cut": 0.3},
        "achieved": {"ratio": 0.31, "params_cut": 0.42, "macs_cut": 0.356},
        "criterion": "taylor",
        "allocation": "sensitivity",
        "multiple": 8,
        "widths": [
            {"name": "head", "before": 64, "asked": 45.5, "after": 48},
            {"name": "tail", "before": 32, "asked": 32.0, "after": 32},
        ],
        "protected": curves["protected"],
        "largest_relative_error": 3e-13,
        "predicted": {"params": 580_000, "macs": 5.2e9, "latency_ms": 140.0, "unpruned_latency_ms": 200.0},
        "measured": {"latency_ms": 150.0, "unpruned_latency_ms": 200.0, "runtime": "aoti"},
        "sensitivity": curves,
    }
