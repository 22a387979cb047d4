"""What tables show in 80 columns, and of names with brackets in them."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console, RenderableType

from compress.prune import GroupWidth
from compress.verify import GroupCheck
from recipes.commands import evaluating, measuring, recommending
from recipes.plan_view import checks_table, widths_table
from recipes.printing import output
from recipes.timing import Measured
from reports.folding_text import FoldingText
from reports.recommend import Limits
from reports.record import LatencyRow, Report, RunInfo, Variant
from reports.terminal import terminal_table

LONG = "runs/lightweighting-of-august/variants/pruned-50-int8/artifact"
PARTS = ("lightweighting-", "august/", "variants/", "pruned-", "artifact")


@pytest.fixture
def shown(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[[RenderableType], str]:
    """What standard output shows of something in 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")

    def show(table: RenderableType) -> str:
        output().print(table)
        return capsys.readouterr().out

    return show


def _measured(name: str) -> Measured:
    row = LatencyRow(
        runtime="onnxruntime",
        device="cpu",
        dtype="int8",
        threads=2,
        batch=1,
        size=(256, 256),
        median_ms=1234.5,
        p10_ms=1111.1,
        p90_ms=2222.2,
        network=name,
        peak_mb=1234.0,
        fastest=True,
    )
    return Measured([row], "clocks steady")


def _report(name: str) -> Report:
    row = _measured(name).rows[0].model_copy(update={"network": None})
    variants = [Variant(name=name, latency=[row]), Variant(name="broken", status="failed", error=f"no {name}")]
    return Report(run=RunInfo(name="r", description="", data="x"), teacher=Variant(name="teacher"), variants=variants)


def _checks(name: str) -> list[GroupCheck]:
    return [GroupCheck(name, 64, 1e-7, None), GroupCheck(name, 8, None, f"{name} is not exact")]


def _scores(name: str) -> RenderableType:
    keys = ("psnr_db", "ssim", "lpips", "edge_sharpness")
    before, after = (dict.fromkeys(keys, share) | {"psnr_db": db} for share, db in ((0.7, 24.1), (0.8, 27.1)))
    row = {"name": name, "note": ""} | {f"blurred_{key}": value for key, value in before.items()} | after
    mean = {key: {"mean": value, "ci95": (value - 0.1, value + 0.1)} for key, value in after.items()}
    return evaluating._scores({"pictures": [row], "blurred": before, **mean})


TABLES: dict[str, Callable[[str], RenderableType]] = {
    "report": lambda name: terminal_table(_report(name)),
    "eval": _scores,
    "verify-prune": lambda name: checks_table(_checks(name)),
    "prune": lambda name: widths_table([GroupWidth(name, 64, 32.4, 32)]),
}


@pytest.mark.parametrize("table", TABLES)
def test_names_fold_after_their_separators_and_nothing_is_left_out(
    table: str, shown: Callable[[RenderableType], str]
) -> None:
    text = shown(TABLES[table](LONG))
    assert "…" not in text
    assert all(part in text for part in PARTS), text
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("table", TABLES)
def test_names_with_brackets_and_colons_are_shown_as_they_are(
    table: str, shown: Callable[[RenderableType], str]
) -> None:
    assert "n[b]x:rat:" in shown(TABLES[table]("n[b]x:rat:"))


def test_measure_folds_names_in_the_same_way(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from recipes.timing import Grid

    monkeypatch.setenv("COLUMNS", "80")
    measuring._print(_measured(LONG), Grid((), ((256, 256),), (1,), (2,), "cpu", 20, memory=True))
    text = capsys.readouterr().out
    assert "…" not in text
    assert all(part in text for part in (*PARTS, "1234", "onnxruntime *")), text


def test_recommend_folds_names_in_the_same_way(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from reports.recommend import candidates_of, choose

    monkeypatch.setenv("COLUMNS", "80")
    limits: Limits = {"latency_ms": 30.0}
    report = _report(LONG)
    recommending._print(choose(candidates_of(report, {}), limits), limits, report, tmp_path)
    table = capsys.readouterr().out.split("\n\n")[0]
    assert "…" not in table
    assert all(part in table for part in PARTS), table


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("a short one", 20, ["a short one"]),
        ("one two-three four", 8, ["one two-", "three ", "four"]),
        ("one two-three four", 10, ["one ", "two-three ", "four"]),
        ("abcdefgh/i", 4, ["abcd", "efgh", "/i"]),
        ("12.5\n-30.9%", 6, ["12.5", "-30.9%"]),
        ("", 4, [""]),
    ],
)
def test_text_folds_between_words_then_after_separators_then_anywhere(text: str, width: int, lines: list[str]) -> None:
    console = Console(file=io.StringIO(), width=width)
    folded = FoldingText(text).wrap(console, width)
    assert [line.plain.rstrip() for line in folded] == [line.rstrip() for line in lines]
    if text:
        assert "".join(line.plain for line in folded).replace(" ", "") == text.replace("\n", "").replace(" ", "")
