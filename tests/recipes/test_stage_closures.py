"""What the keys of stages, scores and latencies cover, on a copy of our source."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from baseline.code_closure import OURS, ROOT, CodeClosure
from compress.runtimes.table import RUNTIMES
from recipes.stages.table import STAGES

CODE = "\nEDITED = 1\n"
PROSE = '\n# a comment\n\n"""Text that stands alone."""\n'
CACHED = {name: STAGES[name].modules for name in STAGES} | {
    "scores": ("recipes.scoring",),
    "costs": ("recipes.costing",),
    "latencies": ("recipes.measuring",),
    "teacher's outputs": ("recipes.stages.teaching",),
    "layers' latencies": ("compress.layer_latency",),
    "students' latencies": ("recipes.students",),
    "selective calibration": ("recipes.selective", "recipes.networks"),
    "restored files": ("recipes.restoring_files",),
}
"""What is cached, and the modules whose closures its key holds."""

IMPORTED = """
import importlib, json, sys
ours = ("baseline", "compress", "recipes", "reports")
seen = {}
for name in sys.argv[1:]:
    for module in [module for module in sys.modules if module.split(".")[0] in ours]:
        del sys.modules[module]
    importlib.import_module(name)
    seen[name] = [module for module in sys.modules if module.split(".")[0] in ours]
print(json.dumps(seen))
"""


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our sources, without the data."""
    root = tmp_path_factory.mktemp("sources")
    for package in OURS:
        shutil.copytree(ROOT / package, root / package, ignore=shutil.ignore_patterns("shipped", "__pycache__"))
    return root


@pytest.mark.parametrize("name", CACHED)
def test_editing_any_file_of_a_closure_changes_its_key_and_prose_does_not(name: str, copied: Path) -> None:
    first = CodeClosure(CACHED[name], copied)
    for file in first.files.values():
        file.write_text(file.read_text() + PROSE)
    before = CodeClosure(CACHED[name], copied).sha256()
    assert before == first.sha256()
    unseen = []
    for module, file in first.files.items():
        source = file.read_text()
        file.write_text(source + CODE)
        unseen += [module] if CodeClosure(CACHED[name], copied).sha256() == before else []
        file.write_text(source)
    assert unseen == []
    assert len(first.files) > 20


@pytest.mark.parametrize("name", CACHED)
def test_editing_all_files_outside_of_a_closure_does_not_change_its_key(name: str, copied: Path) -> None:
    first = CodeClosure(CACHED[name], copied)
    before = first.sha256()
    outside = {file for package in OURS for file in (copied / package).rglob("*.py")} - set(first.files.values())
    sources = {file: file.read_text() for file in outside}
    for file, source in sources.items():
        file.write_text(source + CODE)
    assert CodeClosure(CACHED[name], copied).sha256() == before
    for file, source in sources.items():
        file.write_text(source)
    assert len(outside) > 80


def test_closures_hold_all_that_python_imports(run_python: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    roots = ["recipes.measuring", "recipes.scoring", *(STAGES[name].module for name in STAGES)]
    done = run_python("-c", IMPORTED, *roots)
    assert done.returncode == 0, done.stderr
    for root, modules in json.loads(done.stdout).items():
        assert set(modules) <= set(CodeClosure([root]).files)


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_does_not_depend_on_other_stages_nor_on_the_runner(name: str) -> None:
    others = {STAGES[other].module for other in STAGES if other != name}
    apart = others | {"recipes.stages.table", "recipes.schema", "recipes.pipeline", "recipes.runner", "recipes.cli"}
    assert not apart & set(CodeClosure(STAGES[name].modules).files)


@pytest.mark.parametrize("name", ["train", "distill", "quantize"])
def test_what_trains_does_not_depend_on_the_runtimes(name: str) -> None:
    assert not [file for file in CodeClosure(STAGES[name].modules).files if file.startswith("compress.runtimes")]


def test_the_tables_that_name_modules_are_followed() -> None:
    runtimes = {RUNTIMES[name].module for name in RUNTIMES}
    assert runtimes <= set(CodeClosure(STAGES["export"].modules).files)
    assert {STAGES[name].module for name in STAGES} <= set(CodeClosure(["recipes.stages.table"]).files)
    assert "baseline.networks.nafnet" in CodeClosure(["baseline.networks.zoo"]).files


def test_the_shipped_photographs_and_weights_that_code_reads_count() -> None:
    data = {file.name for file in CodeClosure(["recipes.scoring", "recipes.selective"]).data.values()}
    assert {"photos.csv", "lpips.safetensors", "score.safetensors"} <= data
