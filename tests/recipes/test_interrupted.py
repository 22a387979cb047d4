import pytest
from click.testing import CliRunner

from recipes.cli import main


def test_an_interrupted_command_ends_with_130_and_says_that_it_can_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(main.commands["doctor"], "invoke", interrupted)
    done = CliRunner().invoke(main, ["doctor"])
    assert done.exit_code == 130
    assert done.stderr == "interrupted; what is finished is kept, and the same command goes on from there\n"
