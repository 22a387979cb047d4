"""From what was made, scored and timed to records: metrics, effort, reasons, and the verdicts of the gates."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from baseline.data.pairs import DataSet
from baseline.evaluate import PictureScore, differences, gain_kept, means
from baseline.measurement import METRICS, Measurement
from compress.runtimes.table import size_mb
from recipes.schema import Gates, LatencyGate, Recipe
from recipes.scoring import how_scored
from recipes.subjects import Subject
from reports.record import Effort, GateVerdict, LatencyRow, PictureRow, RunInfo, Variant

_ALIGNED = (
    "Alignment: each restored picture is laid onto its sharp one before it is scored (ECC, a homography, one factor "
    "for the brightness), and both are cut to where it is defined."
)


_NOT_YET = "the run ended before it was scored and timed"
"""Why a record has costs alone. One that is complete takes its place."""


@dataclass
class Finished:
    """A variant whose stages are done: what it is, its stages' outcomes, its files' proofs, and reasons for none."""

    subject: Subject
    outcomes: list[dict[str, Any]]
    missing: dict[str, str] = field(default_factory=dict)
    deployed: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Reference:
    """What every row is compared with: the scores of the blurred input and of the teacher, and the gates.

    `latency` is the teacher's.
    """

    blurred: list[PictureScore]
    teacher: list[PictureScore]
    latency: list[LatencyRow]
    gates: Gates


def record_of(
    one: Finished,
    cost: dict[str, Any],
    scores: list[PictureScore],
    latency: list[LatencyRow],
    reference: Reference,
) -> Variant:
    """The record of one variant; `cost` comes from `measuring.cost_cached`."""
    metrics = {**_cost_metrics(one, cost), **_quality_metrics(one.subject, scores, reference)}
    made = _row(one, metrics, latency)
    if one.subject.name != "teacher":
        made = made.model_copy(update={"gates": judge(metrics, latency, reference.gates, reference.latency)})
    return made.model_copy(update={"pictures": _picture_rows(scores)})


def unscored_record_of(one: Finished, cost: dict[str, Any], gates: Gates, reason: str = _NOT_YET) -> Variant:
    """The record of a variant that is made, and neither scored nor timed: what a run leaves that is killed then."""
    costs = _cost_metrics(one, cost)
    keys = METRICS.keys() - ({"psnr_loss_db", "gain_kept"} if one.subject.name == "teacher" else set())
    made = _row(one, {key: METRICS[key].lacking(reason) for key in METRICS if key in keys} | costs, [])
    verdicts = [] if one.subject.name == "teacher" else judge(costs, [], gates)
    return made.model_copy(update={"missing": {**made.missing, "latency": reason}, "gates": verdicts})


def _row(one: Finished, metrics: dict[str, Measurement], latency: list[LatencyRow]) -> Variant:
    """A record without pictures and verdicts."""
    return Variant(
        name=one.subject.name,
        chain=[outcome["stage"] for outcome in one.outcomes],
        metrics=metrics,
        latency=latency,
        effort=_effort(one.outcomes),
        missing={key: m.missing for key, m in metrics.items() if m.missing is not None} | one.missing,
        details=[{"stage": o["stage"], **o["details"]} for o in (*one.outcomes, *one.deployed)],
    )


def run_info(name: str, recipe: Recipe, data: DataSet, blurred: list[PictureScore], samples: list[str]) -> RunInfo:
    """What all rows have in common; environment and command are added by the runner."""
    height, width = recipe.measure.size
    photographs = len({s.group for s in blurred})
    quality = means(blurred)
    return RunInfo(
        name=name,
        description=recipe.description,
        data=data.name,
        teacher=recipe.teacher.network,
        conditions=[
            *data.notes,
            f"Quality: mean over {len(blurred)} test pairs from {photographs} photographs or sequences; pictures "
            "rounded to 8 bits as saved; PSNR over all channels; SSIM per channel, Gaussian 11x11, sigma 1.5; LPIPS "
            "v0.1 with AlexNet; edge sharpness: mean Sobel gradient on the sharp picture's edges, relative to its own.",
            *([_ALIGNED] if data.test.aligned else []),
            "PSNR loss: paired by picture against the teacher; 95% intervals bootstrapped by photograph.",
            "Gain kept: (variant - blurred) / (teacher - blurred), in mean PSNR.",
            f"Cost: parameters and MACs of the deployed graph (finest output only) at {height}x{width}; one MAC is "
            "one multiply-add as fvcore counts them, FLOPs are 2 x MACs; operators it leaves out are in each record.",
            f"Latency: one {height}x{width} picture, each variant in a process of its own, in turn, the others asleep; "
            f"median of at least {recipe.measure.rounds} calls after warm-up, p10 and p90 beside it. Noisy ones are "
            "taken up to three times. Milliseconds hold for this machine.",
        ],
        blurred_psnr_db=quality["psnr_db"].mean,
        blurred_ssim=quality["ssim"].mean,
        blurred_lpips=quality["lpips"].mean,
        blurred_edge_sharpness=quality["edge_sharpness"].mean,
        blurred_pictures=_picture_rows(blurred),
        sample_pictures=samples,
    )


def unscored_run_info(name: str, recipe: Recipe, data: DataSet, reason: str) -> RunInfo:
    """What all rows have in common where nothing was scored or timed."""
    return RunInfo(
        name=name,
        description=recipe.description,
        data=data.name,
        teacher=recipe.teacher.network,
        conditions=[*data.notes, f"Nothing was scored or timed: {reason}."],
    )


_GATED = {"min_gain_kept": "gain_kept", "max_psnr_loss_db": "psnr_loss_db", "max_file_mb": "file_mb"}
"""The gates that look at a metric, and which."""


def judge(
    metrics: dict[str, Measurement], latency: list[LatencyRow], gates: Gates, teacher: Sequence[LatencyRow] = ()
) -> list[GateVerdict]:
    """The verdict of every gate that is set (`teacher`: its latencies); one without its measurement is not passed."""
    verdicts = []
    for name, key in _GATED.items():
        limit = getattr(gates, name)
        if limit is not None:
            verdicts.append(_verdict(name, limit, metrics[key].value if key in metrics else None))
    for name, gate in gates.latencies.items():
        own, whole = (_median_ms(rows, gate) for rows in (latency, teacher))
        share = None if own is None or not whole else own / whole
        measured = own if name == "max_latency_ms" else share
        verdicts.append(_verdict(f"{name} ({gate.runtime}, {gate.device})", gate.limit, measured))
    return verdicts


def _median_ms(rows: Iterable[LatencyRow], gate: LatencyGate) -> float | None:
    return next((row.median_ms for row in rows if (row.runtime, row.device) == (gate.runtime, gate.device)), None)


def _verdict(gate: str, limit: float, measured: float | None) -> GateVerdict:
    if measured is None:
        return GateVerdict(gate=gate, limit=limit, measured=None, passed=None, reason="not measured")
    passed = measured >= limit if gate.startswith("min_") else measured <= limit
    return GateVerdict(gate=gate, limit=limit, measured=measured, passed=passed)


def _cost_metrics(one: Finished, cost: dict[str, Any]) -> dict[str, Measurement]:
    height, width = cost["size"]
    uncounted = ", ".join(f"{name} x{count}" for name, count in sorted(cost["uncounted"].items()))
    conditions = f"fvcore, 1x3x{height}x{width}, deployed graph; not counted: {uncounted or 'nothing'}"
    conditions += "".join(f"; counted: {formula}" for formula in cost["formulas"])
    training = f"deployed graph; {cost['training_params']} while training"
    file = next(iter(one.subject.files.items()), None)
    if file is None:
        file_mb = METRICS["file_mb"].lacking("; ".join(one.missing.values()) or "no runtime with files was asked for")
    else:
        file_mb = METRICS["file_mb"].measured(size_mb(file[1]), f"{file[0]} file, compiled code included")
    return {
        "params": METRICS["params"].measured(cost["params"], training),
        "macs": METRICS["macs"].measured(cost["macs"], conditions),
        "weights_mb": METRICS["weights_mb"].measured(
            cost["weight_bytes"] / 1e6, "weights that the deployed graph reads, as they are kept"
        ),
        "file_mb": file_mb,
    }


def _quality_metrics(subject: Subject, scores: list[PictureScore], reference: Reference) -> dict[str, Measurement]:
    conditions = f"{len(scores)} test pairs, scored {how_scored(subject)}"
    for note, count in Counter(s.note for s in scores if s.note).items():
        conditions += f"; {count} of them {note}"
    quality = means(scores)
    metrics = {key: METRICS[key].measured(found.mean, conditions, found.ci95) for key, found in quality.items()}
    if subject.name == "teacher":
        return metrics
    loss = differences(reference.teacher, scores)["psnr_db"]
    metrics["psnr_loss_db"] = METRICS["psnr_loss_db"].measured(loss.mean, conditions, loss.ci95)
    blurred_db, teacher_db = (float(np.mean([s.psnr_db for s in r])) for r in (reference.blurred, reference.teacher))
    if teacher_db > blurred_db:
        kept = gain_kept(quality["psnr_db"].mean, teacher_db, blurred_db)
        metrics["gain_kept"] = METRICS["gain_kept"].measured(kept, f"teacher gains {teacher_db - blurred_db:.2f} dB")
    else:
        metrics["gain_kept"] = METRICS["gain_kept"].lacking("the teacher gains nothing over the blurred input")
    return metrics


def _effort(outcomes: list[dict[str, Any]]) -> Effort:
    return Effort(
        steps=sum(o["steps"] for o in outcomes),
        minutes=sum(o["minutes"] for o in outcomes),
        pictures=sum(o["pictures"] for o in outcomes),
    )


def _picture_rows(scores: list[PictureScore]) -> list[PictureRow]:
    return [PictureRow(**asdict(s)) for s in scores]
