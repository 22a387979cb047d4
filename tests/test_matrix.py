"""The table of networks, schemes and runtimes: its cells agree or say why not, and its page is that of the record."""

import importlib.util
import itertools
import json
from pathlib import Path
from types import ModuleType

import pytest
import torch

from compress.quantize import SCHEMES
from compress.runtimes.table import RUNTIMES
from compress.students import STUDENTS, student_plan

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def matrix() -> ModuleType:
    spec = importlib.util.spec_from_file_location("matrix", ROOT / "benchmarks" / "matrix.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def cells(matrix: ModuleType) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads((ROOT / matrix.OUT).read_text())["cells"]
    return found


def test_every_cell_agrees_or_says_why_not(cells: list[dict[str, object]]) -> None:
    assert [cell for cell in cells if not cell.get("holds") and not cell.get("refused")] == []


def test_every_combination_of_registered_names_has_its_cell(matrix: ModuleType, cells: list[dict[str, object]]) -> None:
    networks = {"teacher", "pruned", *matrix.students(), "own_network:make"}
    schemes = {"fp32", *SCHEMES}
    asked = set(itertools.product(networks, schemes, RUNTIMES))
    there = {(cell["network"], cell["scheme"], cell["runtime"]) for cell in cells}
    assert asked - there == set()
    assert {network for network, _, _ in there} == networks


def test_every_student_is_one_of_those_in_the_table_up_to_width_depth_and_branches(matrix: ModuleType) -> None:
    kinds = {(architecture, plan.get("conv")) for architecture, plan in matrix.students().values()}
    for name in STUDENTS:
        architecture, arguments = student_plan(name, ("mimo-unet", {}), {})
        conv = arguments.get("conv")
        assert (architecture, "plain" if conv == "branched" else conv) in kinds


def test_the_page_is_that_of_the_record(matrix: ModuleType, cells: list[dict[str, object]]) -> None:
    assert (ROOT / matrix.OUT).with_suffix(".md").read_text() == matrix.as_markdown(cells)


@pytest.mark.parametrize(
    ("dtype", "wrong_by", "holds"),
    [
        ("fp32", 5e-5, True),
        ("fp32", 2e-4, False),
        ("fp16", 1e-3, True),  # 60 dB
        ("fp16", 3e-3, False),  # 50 dB
        ("bf16", 3e-3, True),
        ("bf16", 2e-2, False),  # 34 dB
        ("int8", 1e-4, True),
        ("int8", 2e-2, False),
    ],
)
def test_what_is_off_by_more_than_its_limit_does_not_hold(
    matrix: ModuleType, dtype: str, wrong_by: float, holds: bool
) -> None:
    sharp, expected = torch.full((1, 3, 8, 8), 0.5), torch.full((1, 3, 8, 8), 0.6)
    cell = matrix.compared([expected + wrong_by], [expected], [(sharp, sharp)], dtype)
    assert cell["holds"] is holds


def test_a_cell_that_was_not_run_or_fails_or_is_refused_shows(matrix: ModuleType) -> None:
    zero = torch.zeros(1, 3, 8, 8)
    row = {"network": "n", "scheme": "fp32"}
    cells = [
        row | {"runtime": "aoti", "refused": "no compiler"},
        row | {"runtime": "eager"} | matrix.compared([zero + 0.5], [zero], [(zero, zero)], "fp32"),
    ]
    page = matrix.as_markdown(cells)
    assert "| n | fp32 | (1) | 5e-01 **!** | not run |" in page
    assert "1. no compiler" in page
