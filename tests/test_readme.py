"""What the README and CONTRIBUTING say is so: commands exist with these options, the table is that of the record."""

import importlib.util
import re
import shlex
from pathlib import Path

import pytest

from baseline.data.credits import credits_text
from recipes.cli import main
from reports.write import read_report

ROOT = Path(__file__).parent.parent


def commands_of(page: str) -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / page).read_text().replace("\\\n", " "), flags=re.DOTALL)
    lines = [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith("lightsharp ")]


@pytest.mark.parametrize("line", [*commands_of("README.md"), *commands_of("CONTRIBUTING.md")])
def test_a_documented_command_has_these_arguments(line: str) -> None:
    _, name, *arguments = shlex.split(line)
    context = main.commands[name].make_context(name, arguments)
    assert context.command.name == name


def test_the_readme_has_commands_and_they_are_found() -> None:
    assert len(commands_of("README.md")) > 12


def test_the_readmes_table_is_rendered_from_the_committed_record() -> None:
    spec = importlib.util.spec_from_file_location("readme", ROOT / "benchmarks" / "readme.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text = (ROOT / "README.md").read_text()
    assert module.with_table(text, read_report(module.RECORD)) == text
    assert "| pruned-30" in text


def test_every_module_that_contributing_names_is_there() -> None:
    named = re.findall(
        r"`((?:baseline|compress|recipes|reports|tests|benchmarks)/[\w/]+\.\w+)`",
        (ROOT / "CONTRIBUTING.md").read_text(),
    )
    named = [name for name in named if "NAME" not in name]
    assert len(named) > 20
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_the_credits_are_those_of_the_table() -> None:
    assert (ROOT / "baseline" / "shipped" / "CREDITS.md").read_text() == credits_text()
