"""The lightweighting table of the article that this project reproduces: what it claims beside what a run measured."""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, get_args

from reports.digits import compact, percent
from reports.markdown import escaped
from reports.record import Report, Variant
from reports.table import DASH, Column, gate_note, holds, latency_columns

Verdict = Literal["beaten", "met", "missed", "not measured"]

LOSS_WORDS: dict[str, tuple[float, float]] = {"minimal": (0.99, 1.0), "small": (0.95, 0.99), "medium": (0.80, 0.95)}
"""Our reading of the article's words: the range of gain kept that each stands for. The article gives no numbers."""


@dataclass(frozen=True)
class Claim:
    """A row of the article: what its method removes of the `quantity` (shares), at which loss and difficulty."""

    method: str
    quantity: Literal["params", "weights_mb", "latency"]
    reduction: tuple[float, float]
    loss: str
    difficulty: str
    needs: str
    matches: Callable[["Methods"], bool]
    said_loss: str = ""

    @property
    def reduction_text(self) -> str:
        """The reduction as the article has it."""
        low, high = self.reduction
        if self.quantity == "latency":
            return f"{1 / (1 - low):.0f}x faster"
        return (
            _range(low, high) + {"params": " fewer parameters", "weights_mb": " fewer bytes of weights"}[self.quantity]
        )

    @property
    def loss_text(self) -> str:
        """The loss as the article has it."""
        return self.said_loss or f"{self.loss} loss"


@dataclass(frozen=True)
class Methods:
    """What was done to make a variant, as its chain tells."""

    prunes: bool
    student: str
    distills: bool
    separable: bool
    schemes: tuple[str, ...]
    selective: bool


@dataclass(frozen=True)
class ArticleRow:
    """A claim, the variant that answers it best, what was measured of that, and the verdict with its reason.

    `stages` is all that was done to the variant: a training or distillation that follows has its share in the result.
    `others` are all further variants made by this method, best first, as such rows.
    """

    claim: Claim
    verdict: Verdict
    reason: str
    variant: str = ""
    stages: str = ""
    reduction: str = DASH
    loss: str = DASH
    effort: str = DASH
    others: tuple["ArticleRow", ...] = ()

    @property
    def tally(self) -> str:
        """How many others there are, and what came of them; nothing without any."""
        count = Counter(other.verdict for other in self.others)
        verdicts = ", ".join(f"{count[verdict]} {verdict}" for verdict in get_args(Verdict) if count[verdict])
        return f"{len(self.others)} more made so: {verdicts}" if self.others else ""

    @property
    def answer(self) -> str:
        """The variant and what was measured of it."""
        return f"{self.variant} ({self.stages}): {self.reduction}" if self.stages else self.variant

    @property
    def verdict_text(self) -> str:
        """The verdict, with its reason if it has one."""
        return f"{self.verdict}: {self.reason}" if self.reason else self.verdict


CLAIMS = (
    Claim(
        "Channel pruning",
        "params",
        (0.30, 0.50),
        "medium",
        "medium",
        "pruned and not quantized",
        lambda m: m.prunes and not m.schemes and not m.selective,
    ),
    Claim(
        "Distillation",
        "params",
        (0.20, 0.40),
        "small",
        "high",
        "a student taught by the teacher, neither pruned, separable nor quantized",
        lambda m: m.distills and not m.prunes and not m.separable and not m.schemes and not m.selective,
    ),
    Claim(
        "FP16",
        "weights_mb",
        (0.50, 0.50),
        "minimal",
        "low",
        "quantized to fp16 and nothing else",
        lambda m: m.schemes == ("fp16",) and not m.prunes and not m.distills and not m.selective,
    ),
    Claim(
        "Depthwise-separable convolutions",
        "params",
        (0.60, 0.70),
        "medium",
        "low",
        "of separable convolutions, neither pruned nor quantized",
        lambda m: m.separable and not m.prunes and not m.schemes and not m.selective,
    ),
    Claim(
        "FP16 and selective scale",
        "latency",
        (2 / 3, 2 / 3),
        "small",
        "",
        "fp16 with selective-scale processing; `lightsharp restore --selective` does that, and "
        "`benchmarks/restoring.py selective` measures it",
        lambda m: m.selective and "fp16" in m.schemes,
        said_loss="over 95% of the accuracy",
    ),
)
"""The article's table. Its difficulty of the last row is not known to us."""

RULE = (
    "Met: at least the least reduction claimed, and at least the gain kept that the article's word stands for. "
    "Beaten: more reduction than the most claimed, and more gain kept than the word's range. Otherwise missed. "
    "Reductions are rounded to whole percent, as the article's are; a variant that failed a gate meets nothing."
)


def article_rows(report: Report) -> list[ArticleRow]:
    """Every row of the article's table with a run's best answer to it; none where there is no variant at all."""
    return [_row(claim, report) for claim in CLAIMS] if report.variants else []


def judged(claim: Claim, reduction: float, gain_kept: float) -> Verdict:
    """`RULE`, applied: the one place where a claim is compared with a measurement."""
    (least, most), (worst, best) = claim.reduction, LOSS_WORDS[claim.loss]
    removed = round(reduction, 2)
    if removed > round(most, 2) and gain_kept > best:
        return "beaten"
    return "met" if removed >= round(least, 2) and gain_kept >= worst else "missed"


def loss_words() -> str:
    """The reading of the article's words, in a sentence."""
    parts = [f"{word}, {low:.2f} to {high:.2f}" for word, (low, high) in LOSS_WORDS.items()]
    return (
        f"The article says losses in words. Here they stand for gain kept: {'; '.join(parts)}; "
        "“over 95% of the accuracy” is read as small. This reading is ours."
    )


def article_markdown(report: Report) -> str:
    """The table in Markdown under its heading, with the rule and the reading of words; empty without variants."""
    rows = article_rows(report)
    if not rows:
        return ""
    head = ["Method", "Claimed", "Claimed effort", "Measured", "Measured loss", "Measured effort", "Verdict"]
    lines = [head, [":--"] * len(head)]
    for row in rows:
        claimed = f"{row.claim.reduction_text}, {row.claim.loss_text}"
        verdict = f"{row.verdict_text} ({row.tally})" if row.others else row.verdict_text
        measured = row.answer or DASH
        cells = [row.claim.method, claimed, row.claim.difficulty or DASH, measured, row.loss, row.effort, verdict]
        lines.append([escaped(cell) for cell in cells])
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    others = [f"- {escaped(f'{row.claim.method}, too: {other_text(o)}')}" for row in rows for o in row.others]
    blocks = ["## The article's table", table, "\n".join(others), escaped(RULE), escaped(loss_words())]
    return "\n\n".join(block for block in blocks if block)


def other_text(row: ArticleRow) -> str:
    """One that is not the best answer, in a line."""
    return "; ".join(part for part in (row.answer, row.loss, row.verdict_text) if part != DASH)


def methods_of(variant: Variant) -> Methods:
    """What a chain's labels and the details say was done."""
    said = [step.strip() for step in variant.chain]
    stages = _stages(variant)
    students = [found[1] for step in said for found in [re.search(r"\bstudent:? ([\w:.-]+)", step)] if found]
    schemes = [found[1] for step in said for found in [re.search(r"\bscheme:? ([\w-]+)", step)] if found]
    student = students[-1] if students else ""
    return Methods(
        prunes="prune" in stages or "iterate" in stages,
        student=student,
        distills="distill" in stages,
        separable="ds" in student.split("-") or any("separable" in step for step in said),
        schemes=tuple(schemes),
        selective="selective" in " ".join(said) or any("selective" in detail for detail in variant.details),
    )


def _stages(variant: Variant) -> list[str]:
    return [re.split(r"[\s:]", step.strip(), maxsplit=1)[0] for step in variant.chain]


def _row(claim: Claim, report: Report) -> ArticleRow:
    """The best answer to a claim: of what holds its gates, by verdict, reduction and gain kept; and all others."""
    matched = [variant for variant in report.variants if claim.matches(methods_of(variant))]
    if not matched:
        return ArticleRow(claim, "not measured", f"there is no variant that is {claim.needs}")
    known = [(variant, reduction, gain) for variant in matched for reduction, gain in _measured(claim, variant, report)]
    if not known:
        return ArticleRow(claim, "not measured", "; ".join(_lacking(claim, variant) for variant in matched))

    def rank(entry: tuple[Variant, float, float]) -> tuple[bool, int, bool, float, float]:
        variant, reduction, gain = entry
        order = ("missed", "met", "beaten").index(judged(claim, reduction, gain))
        return holds(variant), order, round(reduction, 2) >= round(claim.reduction[0], 2), gain, reduction

    first, *rest = sorted(known, key=rank, reverse=True)
    unknown = [variant for variant in matched if variant not in [entry[0] for entry in known]]
    others = [_answer(claim, *entry) for entry in rest]
    others += [ArticleRow(claim, "not measured", _lacking(claim, variant), variant.name) for variant in unknown]
    return replace(_answer(claim, *first), others=tuple(others))


def _answer(claim: Claim, variant: Variant, reduction: float, gain: float) -> ArticleRow:
    """One variant set beside a claim; one that failed a gate misses it."""
    verdict: Verdict = judged(claim, reduction, gain) if holds(variant) else "missed"
    return ArticleRow(
        claim,
        verdict,
        _why(claim, variant, reduction, gain) if verdict == "missed" else "",
        variant.name,
        " \N{RIGHTWARDS ARROW} ".join(_stages(variant)),
        _reduction_text(claim, reduction),
        _loss_text(variant, gain),
        f"{compact(variant.effort.steps)} steps, {variant.effort.minutes:.1f} minutes, "
        f"{compact(variant.effort.pictures)} pictures",
    )


def _measured(claim: Claim, variant: Variant, report: Report) -> list[tuple[float, float]]:
    """The share removed and the gain kept, if both are known."""
    gain = variant.value("gain_kept")
    if claim.quantity == "latency":
        pair = next((p for column in latency_columns(report) for p in _times(column, variant, report)), None)
    else:
        before, after = report.teacher.value(claim.quantity), variant.value(claim.quantity)
        pair = None if before is None or after is None else (before, after)
    return [] if gain is None or pair is None or not pair[0] else [(1 - pair[1] / pair[0], gain)]


def _times(column: Column, variant: Variant, report: Report) -> list[tuple[float, float]]:
    """The teacher's and the variant's milliseconds where both were timed."""
    raws = [column.cell(entry, report).raw[:1] for entry in (report.teacher, variant)]
    found = [float(raw) for cell in raws for raw in cell if isinstance(raw, int | float)]
    return [(found[0], found[1])] if len(found) == 2 else []


def _lacking(claim: Claim, variant: Variant) -> str:
    if variant.error:
        return f"{variant.name} failed: {variant.error}"
    return f"{variant.name} has no measured {claim.quantity} or gain kept beside the teacher's"


def _why(claim: Claim, variant: Variant, reduction: float, gain: float) -> str:
    """What a missed claim misses."""
    worst = LOSS_WORDS[claim.loss][0]
    reasons = [gate_note(gate) for gate in variant.gates if gate.passed is False]
    if round(reduction, 2) < round(claim.reduction[0], 2):
        reasons.append("less reduction than claimed")
    if gain < worst:
        reasons.append(f"gain kept {gain:.3f}, {claim.loss} is at least {worst:.2f}")
    reasons += [variant.note] if variant.note else []
    return "; ".join(reasons)


def _reduction_text(claim: Claim, reduction: float) -> str:
    if claim.quantity == "latency":
        return f"{1 / (1 - reduction):.1f}x as fast"
    what = {"params": "parameters", "weights_mb": "bytes of weights"}[claim.quantity]
    return f"{percent(abs(reduction), 0)} {'fewer' if reduction >= 0 else 'more'} {what}"


def _loss_text(variant: Variant, gain: float) -> str:
    loss = variant.metrics.get("psnr_loss_db")
    text = f"gain kept {gain:.3f}"
    if loss is None or loss.value is None:
        return text
    interval = f" [{loss.ci95[0]:z.2f}, {loss.ci95[1]:z.2f}]" if loss.ci95 else ""
    return f"{text}, {loss.value:z.2f} dB lost{interval}"


def _range(low: float, high: float) -> str:
    return f"{low:.0%}" if low == high else f"{100 * low:.0f} to {high:.0%}"
