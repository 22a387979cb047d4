import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ALLOWED = {
    "baseline": ("baseline",),
    "compress": ("compress", "baseline"),
    "reports": ("reports", "baseline.atomic", "baseline.errors", "baseline.measurement"),
    "recipes": ("recipes", "compress", "reports", "baseline"),
}
LIGHT = ("--help", "ls recipes", "ls criteria", "ls networks", "ls runtimes", "show demo", "cp demo my.yaml")
LIGHT += (
    "validate own.yaml",
    "validate demo",
    "schema",
    "schema report",
    "report run",
    "diff run other",
    "recommend run --max-latency-ms 5",
)
NO_TORCH = """
import sys
from recipes.cli import main
sys.argv = ["lightsharp", *sys.argv[1:]]
try:
    main()
except SystemExit as end:
    heavy = {"torch", "torch_pruning", "torchao"} & set(sys.modules)
    sys.exit(f"imported {heavy}" if heavy else end.code)
"""


def imported(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in it, with `from a import b` as a.b."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_point_down(package: str) -> None:
    files = list((ROOT / package).rglob("*.py"))
    assert len(files) > 4
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in files
        for name in imported(path)
        if name.split(".")[0] in ALLOWED and not any(f"{name}.".startswith(f"{a}.") for a in ALLOWED[package])
    ]
    assert wrong == []


def test_reports_never_import_torch() -> None:
    for path in (ROOT / "reports").rglob("*.py"):
        assert not [name for name in imported(path) if name.split(".")[0].startswith("torch")]


CODE_BY_NAME = {
    "baseline/networks/user_networks.py": {"import_module"},  # what users allow
    "compress/onnx_file.py": {"__import__"},  # these three from tables of ours
    "compress/runtimes/table.py": {"import_module"},
    "compress/runtimes/tensorrt.py": {"import_module"},
    "recipes/stages/table.py": {"import_module"},
}


def test_code_is_imported_by_name_in_few_places() -> None:
    running = {"import_module", "__import__", "exec", "eval", "compile", "run_path", "run_module", "execfile"}
    found: dict[str, set[str]] = {}
    for path in (path for package in ALLOWED for path in (ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                owner = node.func.value if isinstance(node.func, ast.Attribute) else None
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                of_a_module = owner is None or (isinstance(owner, ast.Name) and owner.id in ("importlib", "runpy"))
                if name in running and of_a_module:
                    found.setdefault(str(path.relative_to(ROOT)), set()).add(name)
    assert found == CODE_BY_NAME


def test_pickles_are_read_as_tensors_alone() -> None:
    for path in (path for package in ALLOWED for path in (ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                of, name = getattr(node.func.value, "id", ""), node.func.attr
                assert not (of == "pickle" and name in ("load", "loads", "Unpickler")), path
                safe = any(k.arg == "weights_only" and getattr(k.value, "value", 0) is True for k in node.keywords)
                assert not (of == "torch" and name == "load") or safe, path


def test_package_files_are_empty() -> None:
    found = [path for package in ALLOWED for path in (ROOT / package).rglob("__init__.py")]
    assert {path.parent.name for path in found} >= set(ALLOWED)
    assert [path for path in found if path.read_text()] == []


@pytest.mark.parametrize("command", LIGHT)
def test_light_commands_do_not_import_torch(command: str, tmp_path: Path, run_python: Callable[..., object]) -> None:
    from reports.record import LatencyRow, Report, RunInfo, Variant
    from reports.write import write_report

    (tmp_path / "own.yaml").write_text('variants: {a: [distill: {student: "own_nets:make", steps: 1}]}')
    run = RunInfo(name="run", description="", data="photos")
    row = LatencyRow(runtime="aoti", device="cpu", dtype="fp32", threads=1, batch=1, size=(64, 64), median_ms=4.0)
    teacher = Variant(name="teacher", latency=[row])
    for name in ("run", "other"):
        write_report(Report(run=run, teacher=teacher, variants=[]), tmp_path / name)
    done = run_python("-c", NO_TORCH, *command.split())
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_every_file_of_tests_has_a_name_of_its_own() -> None:
    """Without packages pytest imports by base name: two files of one name end a whole run with an error."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert len(names) > 50
    assert sorted(names) == sorted(set(names))
