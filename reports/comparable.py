"""What keeps the numbers of two reports from being set side by side."""

from dataclasses import dataclass

from baseline.measurement import METRICS, Measurement
from reports.record import PictureRow, Report

QUALITY = ("psnr_db", "ssim", "lpips", "edge_sharpness")
"""The metrics that are scored on each picture."""

COUNTS = ("params", "macs")
"""The metrics that are counted, and do not depend on any machine."""

_MACHINE = ("cpu", "cores", "threads", "cpu_features", "gpu", "system")


@dataclass(frozen=True)
class Clash:
    """One thing that differs between two reports though it must not, and what the other is to be run with instead."""

    what: str
    one: str
    other: str
    advice: str


def quality_clashes(one: Report, other: Report) -> list[Clash]:
    """Why the quality of two reports was not measured in the same way; nothing if it was."""
    found = [
        Clash("data set", one.run.data, other.run.data, f"--set data.name={one.run.data}"),
        Clash("test pairs", *_pairs(one, other), _same_pairs(one)),
        Clash("blurred input", *_blurred(one, other), "the data of the first"),
        *_scorings(one, other),
    ]
    return [clash for clash in found if clash.one != clash.other]


def cost_clashes(one: Report, other: Report) -> list[Clash]:
    """Why the counts of two reports do not mean the same; nothing if they do."""
    found = []
    for key in COUNTS:
        own, others = (_how_counted(report.teacher.metrics.get(key)) for report in (one, other))
        if own and others and own != others:
            found.append(Clash(f"way to count {METRICS[key].title}", own, others, "--set measure.size=[HEIGHT,WIDTH]"))
    return found


def equal_as_shown(metric: str, one: float, other: float) -> bool:
    """Whether two values of a metric are equal in the digits that a report shows; a count must be equal in all."""
    decimals = METRICS[metric].decimals
    return one == other if decimals == 0 else abs(one - other) < 0.5 * 10**-decimals


def machine_of(report: Report) -> dict[str, str]:
    """What of a report's environment says on which machine it was timed."""
    return {key: report.run.environment[key] for key in _MACHINE if key in report.run.environment}


def _scored(report: Report) -> list[PictureRow]:
    return report.teacher.pictures or report.run.blurred_pictures


def _pairs(one: Report, other: Report) -> tuple[str, str]:
    """How many test pairs each has; of equal numbers, the first pair that is another; equal texts for equal pairs."""
    names = [[picture.name for picture in _scored(report)] for report in (one, other)]
    if len(names[0]) != len(names[1]):
        return str(len(names[0])), str(len(names[1]))
    return next(((a, b) for a, b in zip(*names, strict=True) if a != b), ("", ""))


def _same_pairs(report: Report) -> str:
    """What to run another recipe with for the test pairs of this report."""
    count = len(_scored(report))
    return f"--set measure.pictures={count}" if count else "the pairs of the first"


def _blurred(one: Report, other: Report) -> tuple[str, str]:
    """The PSNR of both inputs; equal texts if they are equal as shown, or one is not known."""
    values = one.run.blurred_psnr_db, other.run.blurred_psnr_db
    if values[0] is None or values[1] is None or equal_as_shown("psnr_db", values[0], values[1]):
        return "", ""
    return f"{values[0]:.3f} dB", f"{values[1]:.3f} dB"


def _scorings(one: Report, other: Report) -> list[Clash]:
    """Every way of scoring that both state, and the alignment."""
    ways, others = _ways(one), _ways(other)
    shared = [key for key in ways if key in others]
    advice = "the same version of lightsharp"
    alignments = (_line(one, "Alignment") or "none", _line(other, "Alignment") or "none")
    return [
        *(Clash(f"scoring ({key})", ways[key], others[key], advice) for key in shared),
        Clash("alignment before scoring", *alignments, advice),
    ]


def _ways(report: Report) -> dict[str, str]:
    """The parts of the condition on quality, each by its first word, such as PSNR; older records have fewer metrics."""
    parts = (part.strip(" .") for part in _line(report, "Quality").split(";"))
    return {part.split()[0]: part for part in parts if part}


def _line(report: Report, title: str) -> str:
    """The condition of a title, or nothing."""
    mark = f"{title}: "
    return next((line.removeprefix(mark).rstrip(".") for line in report.run.conditions if line.startswith(mark)), "")


def _how_counted(measured: Measurement | None) -> str:
    """What counted a cost and for which size; what it left out belongs to the network."""
    return "" if measured is None else measured.conditions.partition(";")[0]
