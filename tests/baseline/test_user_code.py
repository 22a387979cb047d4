"""Whose code is imported: what the user allowed or ran, and nothing else."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from torch import nn

from baseline.artifact import Artifact, check_code, load
from baseline.errors import UserError
from baseline.networks.zoo import build, by_name_alone, check_arguments
from baseline.user_code import VARIABLE, NotAllowedError, allowing, is_allowed

MODULE = """
from subprocess import check_output
from torch import nn

class Net(nn.Module):
    def __init__(self, channels=4):
        super().__init__()
        self.first, self.last = nn.Conv2d(3, channels, 1), nn.Conv2d(channels, 3, 1)

    def forward(self, image):
        return self.last(self.first(image))

class Poses:
    def __getattr__(self, name):
        open("ran", "w").close()
        return lambda *_: ()

def poses():
    return Poses()

def finds_its_neighbour():
    import neighbour
    return neighbour.Net()
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder with a module of the user's, and a state folder of its own."""
    (tmp_path / "own_code.py").write_text(MODULE)
    (tmp_path / "neighbour.py").write_text(MODULE)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in ("own_code", "neighbour"):
        sys.modules.pop(name, None)


def edited(folder: Path, **values: object) -> None:
    path = folder / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize("name", ["own_code:Net", "own_code", "own_code:Net,other"])
def test_what_is_allowed_is_imported_from_the_working_folder_which_is_then_no_longer_searched(
    name: str, here: Path
) -> None:
    with pytest.raises(NotAllowedError, match=r"module own_code is not, and was not imported\. If you trust it, add"):
        build("own_code:Net", {})
    assert "own_code" not in sys.modules
    path = list(sys.path)
    with allowing(name.split(",")):
        assert isinstance(build("own_code:Net", {"channels": 5}), nn.Module)
        assert os.environ[VARIABLE] == name
    assert sys.path == path
    assert VARIABLE not in os.environ
    with pytest.raises(NotAllowedError):
        build("own_code:Net", {})


def test_a_setting_of_the_users_allows(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, " other , own_code ")
    assert isinstance(build("own_code:finds_its_neighbour", {}), nn.Module)


@pytest.mark.parametrize(
    ("allowed", "asked", "is_so"),
    [
        ("kit", "kit.deep:make", True),
        ("kit.deep", "kit.deep:make", True),
        ("kit.deep:make", "kit.deep:make", True),
        ("kit.deep", "kit:make", False),
        ("kit.deep", "kit.other:make", False),
        ("kit", "kitchen:make", False),
        ("kit.deep:make", "kit.deep:other", False),
    ],
)
def test_a_package_covers_its_modules_and_a_factory_itself_alone(
    allowed: str, asked: str, is_so: bool, here: Path
) -> None:
    with allowing([allowed]):
        assert is_allowed(asked, {}) is is_so


@pytest.mark.parametrize("name", ["", "own code", "a.b:c.d", "../x", "a,"])
def test_what_is_no_package_is_told(name: str, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"--allow-code must name packages, modules or package\.module:factory"):
        allowing([name]).__enter__()
    monkeypatch.setenv(VARIABLE, "own code")
    with pytest.raises(UserError, match=f"{VARIABLE} must name packages"):
        build("own_code:Net", {})


def test_an_allowed_module_does_not_lend_what_it_has_from_elsewhere(here: Path) -> None:
    call = ("own_code:check_output", {"args": ["touch", "ran"]})
    with (
        allowing(["own_code"]),
        pytest.raises(NotAllowedError, match=r"comes from module subprocess, .* --allow-code own_code:check_output"),
    ):
        build(*call)
    assert not Path("ran").exists()
    with (
        allowing(["own_code:check_output"]),
        pytest.raises(UserError, match=r"must make a torch\.nn\.Module; it made a "),
    ):
        build(*call)
    assert Path("ran").exists()


def test_what_a_factory_makes_is_not_touched_unless_it_is_a_network(here: Path) -> None:
    with allowing(["own_code"]), pytest.raises(UserError, match=r"must make a torch\.nn\.Module; it made a Poses"):
        build("own_code:poses", {})
    assert not Path("ran").exists()


def test_names_alone_are_read_without_the_code_and_build_nothing(here: Path) -> None:
    with by_name_alone():
        check_arguments("own_code:Net", {"anything": 1})
        with pytest.raises(UserError, match=r"must be package\.module:factory"):
            check_arguments("os:path.join", {})
        with pytest.raises(NotAllowedError):
            build("own_code:Net", {})
    assert "own_code" not in sys.modules


def test_what_a_users_run_wrote_needs_no_asking(here: Path) -> None:
    with allowing(["own_code"]):
        Artifact.new("own_code:Net", {"channels": 5}, seed=0).save(here / "a")
    (here / "a").rename(here / "moved")
    assert load(here / "moved").network.first.out_channels == 5
    edited(here / "moved", arguments={"channels": 6})
    with pytest.raises(NotAllowedError, match=r"network 'own_code:Net' of .*moved/model\.json must be code"):
        load(here / "moved")
    edited(here / "moved", arguments={"channels": 5}, architecture="own_code:poses")
    with pytest.raises(NotAllowedError):
        check_code(here / "moved")


def test_another_user_is_asked(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with allowing(["own_code"]):
        Artifact.new("own_code:Net", {}, seed=0).save(here / "a")
    monkeypatch.setenv("XDG_STATE_HOME", str(here / "another"))
    with pytest.raises(NotAllowedError):
        load(here / "a")


def test_code_of_the_same_name_in_a_strangers_folder_is_not_that_of_the_user(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with allowing(["own_code"]):
        Artifact.new("own_code:Net", {}, seed=0).save(here / "a")
    del sys.modules["own_code"]
    monkeypatch.chdir(here / "state")
    with pytest.raises(UserError, match=r"No module named 'own_code'\. Start lightsharp from the folder that holds"):
        load(here / "a")
    Path("own_code.py").write_text("open('ran', 'w').close()\n" + MODULE)
    with pytest.raises(NotAllowedError):
        load(here / "a")
    assert not Path("ran").exists()


def test_an_installed_package_comes_before_one_of_the_working_folder(
    here: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    installed = tmp_path_factory.mktemp("installed")
    (installed / "own_code.py").write_text("from torch import nn\n\ndef Net():\n    return nn.Identity()\n")
    monkeypatch.syspath_prepend(installed)
    with allowing(["own_code"]):
        assert isinstance(build("own_code:Net", {}), nn.Identity)


def test_a_network_in_memory_is_kept_where_no_state_can_be_written(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "state").write_text("no folder")
    with allowing(["own_code"]):
        network = build("own_code:Net", {})
    Artifact(network, "own_code:Net").save(here / "a")
    assert "not kept that own_code:Net is yours" in capsys.readouterr().err
    with pytest.raises(NotAllowedError):
        load(here / "a")


@pytest.mark.parametrize(
    "plan",
    [
        {"head": {"attributes": {"forward": 1}, "shapes": {}}},
        {"head": {"attributes": {}, "shapes": {"forward": [1]}}},
        {"nowhere": {"attributes": {}, "shapes": {}}},
    ],
)
def test_a_channel_plan_sets_widths_and_shapes_alone(
    plan: dict[str, object], float_folder: Path, tmp_path: Path
) -> None:
    load(float_folder).save(tmp_path / "a")
    edited(tmp_path / "a", channel_plan=plan)
    with pytest.raises(UserError, match="channel_plan must hold widths and shapes of the network's layers"):
        load(tmp_path / "a")
