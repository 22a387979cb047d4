import pytest

from baseline.measurement import METRICS
from reports.article import CLAIMS, ArticleRow, article_markdown, article_rows, judged, methods_of
from reports.record import Report, Variant
from tests.reports.conftest import kept_gate

PRUNING, DISTILLATION, FP16, SEPARABLE, SELECTIVE = CLAIMS


def row(report: Report, method: str) -> ArticleRow:
    return next(row for row in article_rows(report) if row.claim.method == method)


def gain(variant: Variant, value: float) -> None:
    variant.metrics["gain_kept"] = METRICS["gain_kept"].measured(value, "")


def test_the_claims_are_the_articles() -> None:
    assert [(c.method, c.reduction_text, c.loss_text, c.difficulty) for c in CLAIMS] == [
        ("Channel pruning", "30 to 50% fewer parameters", "medium loss", "medium"),
        ("Distillation", "20 to 40% fewer parameters", "small loss", "high"),
        ("FP16", "50% fewer bytes of weights", "minimal loss", "low"),
        ("Depthwise-separable convolutions", "60 to 70% fewer parameters", "medium loss", "low"),
        ("FP16 and selective scale", "3x faster", "over 95% of the accuracy", ""),
    ]


@pytest.mark.parametrize(
    ("reduction", "kept", "verdict"),
    [
        (0.30, 0.80, "met"),
        (0.296, 0.85, "met"),  # 30% when rounded
        (0.294, 0.85, "missed"),
        (0.40, 0.799, "missed"),
        (0.50, 0.99, "met"),  # no more reduction than the most claimed
        (0.60, 0.95, "met"),  # no less loss than medium
        (0.60, 0.96, "beaten"),
    ],
)
def test_the_rule(reduction: float, kept: float, verdict: str) -> None:
    assert judged(PRUNING, reduction, kept) == verdict


def test_chains_are_read_in_the_form_of_the_records() -> None:
    def of(*chain: str) -> Variant:
        return Variant(name="v", chain=list(chain))

    pruned = methods_of(of("prune params_cut 0.5", "distill steps 400", "quantize scheme int8-qat, train {'steps': 6}"))
    assert (pruned.prunes, pruned.distills, pruned.schemes) == (True, True, ("int8-qat",))
    assert methods_of(of("distill steps 500, student mimo-unet-ds-slim")).separable
    assert methods_of(of("train network mimo-unet, conv separable")).separable
    assert not methods_of(of("distill student mimo-unet-narrow")).separable
    selective = of("quantize scheme fp16")
    selective.details = [{"stage": "selective", "selective": {"share": 0.95}}]
    assert SELECTIVE.matches(methods_of(selective))
    assert not FP16.matches(methods_of(selective))


def test_the_best_sound_variant_answers(report: Report) -> None:
    found = row(report, "Channel pruning")
    assert (found.variant, found.verdict, found.reduction) == ("pruned-30", "met", "30% fewer parameters")
    assert found.stages == "prune → train"
    assert found.loss == "gain kept 0.950, 0.10 dB lost [0.05, 0.15]"
    assert found.effort == "300 steps, 4.2 minutes, 2400 pictures"
    better = report.variants[1]
    better.metrics["params"] = METRICS["params"].measured(400_000, "")
    gain(better, 0.96)
    assert row(report, "Channel pruning").variant == "pruned-30"  # its gate failed
    better.gates = []
    found = row(report, "Channel pruning")
    assert (found.variant, found.verdict) == ("pruned-50", "beaten")


def test_every_other_variant_of_a_method_is_told_and_counted(report: Report) -> None:
    plain, chained = report.variants[0], report.variants[1]
    gain(plain, 0.7)
    chained.gates = []
    gain(chained, 0.9)
    found = row(report, "Channel pruning")
    assert (found.variant, found.verdict, found.tally) == ("pruned-50", "met", "1 more made so: 1 missed")
    (other,) = found.others
    assert (other.variant, other.reason) == ("pruned-30", "gain kept 0.700, medium is at least 0.80")
    text = article_markdown(report)
    assert "| met (1 more made so: 1 missed) |" in text
    assert (
        "- Channel pruning, too: pruned-30 (prune → train): 30% fewer parameters; gain kept 0.700, 0.10 dB lost "
        "\\[0.05, 0.15\\]; missed: gain kept 0.700, medium is at least 0.80\n" in text
    )


def test_one_that_was_not_measured_is_told_beside_one_that_was(report: Report) -> None:
    del report.variants[1].metrics["gain_kept"]
    found = row(report, "Channel pruning")
    assert (found.variant, found.tally) == ("pruned-30", "1 more made so: 1 not measured")
    assert found.others[0].reason == "pruned-50 has no measured params or gain kept beside the teacher's"


def test_what_is_nearly_all_is_not_said_to_be_all(report: Report) -> None:
    report.variants[0].metrics["params"] = METRICS["params"].measured(400, "")  # of a million
    assert row(report, "Channel pruning").reduction == "99.96% fewer parameters"


def test_a_failed_gate_is_missed_with_its_reason(report: Report) -> None:
    report.variants[0].gates = [kept_gate(0.8)]
    found = row(report, "Channel pruning")
    assert found.verdict == "missed"
    assert "gate min_gain_kept failed: 0.8, limit 0.85" in found.reason


def test_what_is_missed_is_said(report: Report) -> None:
    report.variants = report.variants[:1]
    gain(report.variants[0], 0.7)
    report.variants[0].metrics["params"] = METRICS["params"].measured(800_000, "")
    assert row(report, "Channel pruning").reason == (
        "less reduction than claimed; gain kept 0.700, medium is at least 0.80"
    )


def test_what_was_not_measured_says_why(report: Report) -> None:
    found = row(report, "Depthwise-separable convolutions")
    assert found.verdict == "not measured"
    assert found.reason.startswith("ds-distilled failed: the loss stopped being finite")
    assert row(report, "Distillation").reason.startswith("there is no variant that is a student taught")
    assert row(report, "FP16").reason == "fp16 has no measured weights_mb or gain kept beside the teacher's"


def test_a_speedup_is_against_the_teacher_on_the_same_runtime(report: Report) -> None:
    fast = report.variants[3]
    fast.chain = ["quantize scheme fp16", "selective keep_gain 0.95"]
    fast.latency[0].median_ms = 50.0
    gain(fast, 0.955)
    found = row(report, "FP16 and selective scale")
    assert (found.verdict, found.reduction) == ("met", "4.0x as fast")


def test_without_variants_there_is_no_table(report: Report) -> None:
    report.variants = []
    assert article_rows(report) == []
    assert article_markdown(report) == ""


def test_markdown_has_every_row_the_rule_and_the_words(report: Report) -> None:
    report.variants[0].name = "a|b <img>"
    text = article_markdown(report)
    assert text.count("\n| ") == 2 + len(CLAIMS)
    assert r"a\|b &lt;img&gt; (prune → train): 30% fewer parameters" in text
    assert "Beaten: more reduction than the most claimed" in text
    assert "minimal, 0.99 to 1.00; small, 0.95 to 0.99; medium, 0.80 to 0.95" in text
