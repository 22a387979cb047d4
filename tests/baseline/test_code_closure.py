import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from baseline.code_closure import OURS, ROOT, CodeClosure, code_sha256, users_code_sha256

CODE = "\nEDITED = 1\n"
PROSE = '\n# a comment\n\n"""Text that stands alone."""\n'


def write(folder: Path, **sources: str) -> Path:
    """Modules of a package `baseline` in a folder."""
    (folder / "baseline").mkdir(exist_ok=True)
    for name, source in sources.items():
        (folder / "baseline" / f"{name}.py").write_text(source)
    return folder


def closure_of(root: Path) -> CodeClosure:
    return CodeClosure(["baseline.first"], root)


@pytest.mark.parametrize(
    "source",
    [
        "import baseline.leaf",
        "import json, baseline.leaf as other",
        "from baseline import leaf",
        "from baseline.leaf import name",
        "from baseline.leaf import *",
        "from . import leaf",
        "from .leaf import name",
        "def later():\n    from baseline.leaf import name",
        "try:\n    import fast\nexcept ImportError:\n    import baseline.leaf",
        "if TYPE_CHECKING:\n    import json\nelse:\n    import baseline.leaf",
        "TABLE = {'name': 'baseline.leaf'}",
        "TABLE = {'name': 'baseline.leaf:make'}",
        "TABLE = {'baseline.leaf': 1}",
        "run([executable, '-m', 'baseline.leaf'])",
    ],
)
def test_an_import_is_followed_in_every_spelling(source: str, tmp_path: Path) -> None:
    write(tmp_path, first="import baseline.second", second=source, leaf="")
    assert set(closure_of(tmp_path).files) == {"baseline.first", "baseline.second", "baseline.leaf"}


@pytest.mark.parametrize(
    "source",
    [
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from baseline.leaf import name",
        "import typing\nif typing.TYPE_CHECKING:\n    import baseline.leaf",
        '"""baseline.leaf"""',
        "# import baseline.leaf",
        "import leaf",
        "import json.decoder",
        "TABLE = 'see baseline.leaf'",
        "TABLE = 'baseline.gone'",
    ],
)
def test_what_never_runs_is_not_followed(source: str, tmp_path: Path) -> None:
    write(tmp_path, first=source, leaf="")
    assert set(closure_of(tmp_path).files) == {"baseline.first"}


def test_circles_end_and_packages_count(tmp_path: Path) -> None:
    write(tmp_path, first="import baseline.second", second="import baseline.first", __init__="")
    assert set(closure_of(tmp_path).files) == {"baseline", "baseline.first", "baseline.second"}


BEFORE = '''"""About the module."""

NUMBER = 1
"""About the number."""


class Kept:
    """About the class."""

    def method(self):
        """About the method."""
        return "a"
'''


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("About the module.", "Otherwise."),
        ("About the number.", "Otherwise."),
        ("About the class.", "Otherwise."),
        ("About the method.", "Otherwise."),
        ('    """About the method."""\n', ""),
        ("\n\n\n", "\n"),
        ("NUMBER = 1", "NUMBER = (1)  # one"),
        ('"a"', "'a'"),
    ],
)
def test_prose_and_layout_change_no_key(old: str, new: str, tmp_path: Path) -> None:
    before = closure_of(write(tmp_path, first=BEFORE)).sha256()
    assert old in BEFORE
    assert closure_of(write(tmp_path, first=BEFORE.replace(old, new))).sha256() == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("NUMBER = 1", "NUMBER = 1.0"),
        ("NUMBER = 1", "NUMBER = True"),
        ('"a"', '"b"'),
        ('"a"', 'b"a"'),
        ("def method", "def other"),
        ('return "a"', 'yield "a"'),
        ("class Kept", "class Kept(dict)"),
        ("NUMBER = 1\n", ""),
    ],
)
def test_code_changes_the_key(old: str, new: str, tmp_path: Path) -> None:
    before = closure_of(write(tmp_path, first=BEFORE)).sha256()
    assert old in BEFORE
    assert closure_of(write(tmp_path, first=BEFORE.replace(old, new))).sha256() != before


def test_a_new_import_is_covered_by_itself(tmp_path: Path) -> None:
    keys = [closure_of(write(tmp_path, first="", leaf="A = 1")).sha256()]
    write(tmp_path, leaf="A = 2")
    assert closure_of(tmp_path).sha256() == keys[0]
    write(tmp_path, first="from baseline.leaf import A")
    keys.append(closure_of(tmp_path).sha256())
    write(tmp_path, leaf="A = 3")
    keys.append(closure_of(tmp_path).sha256())
    assert len(set(keys)) == 3


def test_data_beside_the_code_counts(tmp_path: Path) -> None:
    source = "from pathlib import Path\nFILE = Path(__file__).parent.parent / 'data' / 'one'\n"
    write(tmp_path, first=source)
    (tmp_path / "data").mkdir()
    keys = []
    for name, content in (("one", "1"), ("one", "2"), ("other", "1"), ("one/inner", "1"), ("one/inner", "2")):
        file = tmp_path / "data" / name
        if name == "one/inner" and file.parent.is_file():
            file.parent.unlink()
        file.parent.mkdir(exist_ok=True)
        file.write_text(content)
        keys.append(closure_of(tmp_path).sha256())
    assert keys[1] == keys[2]
    assert len(set(keys)) == 4


def test_our_packages_are_those_of_the_wheel() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert [f"{name}*" for name in OURS] == project["tool"]["setuptools"]["packages"]["find"]["include"]


def test_the_same_code_elsewhere_has_the_same_key(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "baseline", tmp_path / "baseline")
    assert CodeClosure(["baseline.data.datasets"], tmp_path).sha256() == code_sha256("baseline.data.datasets")


@pytest.fixture
def users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Writes modules into a folder that Python imports from."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write_modules(**sources: str) -> Path:
        for name, source in sources.items():
            path = tmp_path / f"{name.replace('__in__', '/')}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_text(source)
        return tmp_path

    return write_modules


@pytest.mark.parametrize("name", ["closure_own", "closure_blocks", "closure_pack__in____init__", "closure_pack__in__x"])
def test_all_that_a_users_network_imports_from_beside_it_counts(users: Callable[..., Path], name: str) -> None:
    sources = {
        "closure_own": "from closure_blocks import Block\nimport json",
        "closure_blocks": "import closure_pack.x",
        "closure_pack__in____init__": "",
        "closure_pack__in__x": "from baseline.networks import edge",
        "closure_other": "",
    }
    users(**sources)
    before = users_code_sha256("closure_own")
    users(closure_other=CODE, **{name: sources[name] + PROSE})
    assert users_code_sha256("closure_own") == before
    users(**{name: sources[name] + CODE})
    assert users_code_sha256("closure_own") != before


def test_a_users_network_in_the_working_folder_is_found_before_it_was_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "closure_working.py").write_text("raise SystemExit('was imported')")
    assert users_code_sha256("closure_working") is None
    monkeypatch.chdir(tmp_path)
    assert users_code_sha256("closure_working") is not None


def test_of_an_installed_network_the_whole_package_counts(users: Callable[..., Path]) -> None:
    folder = users(closure_installed__in____init__="", closure_installed__in__x="", closure_neighbour="")
    (folder / "closure_installed-1.dist-info").mkdir()
    before = users_code_sha256("closure_installed.x")
    users(closure_neighbour=CODE)
    assert users_code_sha256("closure_installed.x") == before
    users(closure_installed__in____init__=CODE)
    assert users_code_sha256("closure_installed.x") != before


def test_what_is_no_source_counts_as_it_is(users: Callable[..., Path]) -> None:
    users(closure_broken="def (")
    before = users_code_sha256("closure_broken")
    users(closure_broken="def ((")
    assert None is not before != users_code_sha256("closure_broken")
