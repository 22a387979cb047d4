import re
import shutil
import subprocess
from pathlib import Path

import pytest

from reports.latex import latex, latex_table
from reports.record import Report

HOSTILE = r"""a\b{c}&%$#_~^<>|`[*"'',,--x"""
DOCUMENT = "\\documentclass{article}\n\\usepackage{booktabs}\n\\begin{document}\n%s\n\\end{document}\n"


def line(text: str, name: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(name))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("50% & $5 #1 a_b {c}", r"50\% \& \$5 \#1 a\_b \{c\}"),
        ("~^\\", r"\textasciitilde{}\textasciicircum{}\textbackslash{}"),
        ("a<b>c|d`e", r"a\textless{}b\textgreater{}c\textbar{}d\textasciigrave{}e"),
        ("[x] *", "{[}x] {*}"),
        ("pruned-30, and --set ''", "pruned-30, and -{}-set '{}'"),
        ("✗ 3\N{MULTIPLICATION SIGN}3 → 1 ≤ 2 \N{EN DASH}", r"$\times$ 3$\times$3 $\to$ 1 $\leq$ 2 --"),
        ("two\n  lines", "two lines"),
    ],
)
def test_text_is_printed_as_it_is(text: str, expected: str) -> None:
    assert latex(text) == expected


def test_a_row_has_its_values_changes_and_marks(report: Report) -> None:
    text = latex_table(report)
    assert line(text, "int8") == (
        r"int8 & 1.00 M (0.0\%) & 8.00 G (0.0\%) & 16.00 G (0.0\%) & 1.10 ($-$72.5\%) & \textbf{110.0} ($-$45.0\%) & "
        r"29.80 & 0.8900 & 0.20 {[}0.15, 0.25] & 0.900 & 0 / 0.4 (64) \\"
    )
    assert "pruned-50 $\\times$ gate failed & 0.50 M" in text


def test_headings_name_units_and_directions(report: Report) -> None:
    text = latex_table(report)
    assert r"& File $\downarrow$ & Latency $\downarrow$ & PSNR $\uparrow$ &" in text
    assert "& MB & ms (aoti, cpu) & dB &" in text


def test_a_dash_has_its_reason_under_the_table(report: Report) -> None:
    text = latex_table(report)
    reason = r"\textsuperscript{(\d)}~int8 needs AVX512-VNNI here; this CPU has none\par"
    number = re.search(re.escape(reason).replace(re.escape(r"(\d)"), r"(\d)"), text)
    assert number
    assert rf"& --\textsuperscript{{{number[1]}}} & 29.75 &" in line(text, "pruned-30-int8")
    assert "-{}-set variants.ds-distilled.0.distill.lr=1e-4" in text


def test_every_row_has_all_columns(report: Report) -> None:
    report.variants[0].name = "a & b"
    rows = [row for row in latex_table(report).splitlines() if row.endswith(r"\\")]
    assert [len(re.findall(r"(?<!\\)&", row)) for row in rows] == [10] * 11


def test_a_hostile_name_leaves_no_command_behind(report: Report) -> None:
    report.variants[0].name = r"\input{/etc/passwd}"
    assert r"\input" not in latex_table(report)


def test_a_real_latex_sets_it(report: Report, tmp_path: Path) -> None:
    if shutil.which("pdflatex") is None:
        pytest.skip("there is no LaTeX. Type: apt-get install -y texlive-latex-recommended")
    report.variants[0].name = HOSTILE
    report.variants[1].name = "[red]x"
    report.run.description = HOSTILE
    report.variants[5].latency[0].missing = HOSTILE
    (tmp_path / "page.tex").write_text(DOCUMENT % latex_table(report), encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
