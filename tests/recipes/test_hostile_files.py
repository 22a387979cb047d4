"""Files of strangers that name code: nothing of it is imported or run, and one line says what to type."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from baseline.data.datasets import open_data
from baseline.settings import DataSettings
from recipes.cli import main
from recipes.keys import key_of
from recipes.pipeline import Pipeline
from recipes.resolve import artifact_folder
from recipes.schema import parse_steps
from recipes.store import Store
from recipes.typed_code import code_assigned

Cli = Callable[..., subprocess.CompletedProcess[str]]

RUNS_WHEN_IMPORTED = "open('ran', 'w').close()\ndef make(**given):\n    open('ran', 'w').close()\n"

HOSTILE: dict[str, dict[str, Any]] = {
    "subprocess:check_output": {"args": ["touch", "ran"]},  # the standard library
    "os:system": {"command": "touch ran"},
    "builtins:open": {"file": "ran", "mode": "w"},
    "builtins:eval": {},
    "timeit:timeit": {"stmt": "open('ran', 'w')", "number": 1},  # arguments that are code
    "runpy:run_path": {"path_name": "stranger.py"},
    "torch.hub:load": {"repo_or_dir": ".", "model": "make", "source": "local"},  # an installed package
    "numpy:save": {"file": "ran", "arr": 1},
    "recipes.store:Store": {"folder": "ran"},  # this program's own code
    "stranger:make": {},  # the working folder
    "kit.deep:make": {},  # a parent that is imported to look
    "os:path.join": {"a": "x"},  # dotted attributes
    "stranger:make.__call__": {},
    "stranger:": {},
    "stranger\n:make": {},
    "stranger": {},
}

COMMANDS = {
    "eval": ["eval", "bad"],
    "eval against": ["eval", "photos", "--against", "bad"],
    "restore": ["restore", "in", "--network", "bad", "--out", "out"],
    "restore selectively": ["restore", "in", "--network", "bad", "--out", "out", "--selective"],
    "export": ["export", "bad", "--to", "onnx", "--out", "out"],
    "export several": ["export", "bad", "--to", "onnx,openvino", "--out", "out"],
    "export original": ["export", "bad", "--to", "original", "--out", "out.pkl"],
    "measure": ["measure", "bad"],
    "measure with another": ["measure", "photos", "bad", "--memory"],
    "apply": ["apply", "bad", "prune: {params_cut: 0.3}", "--out", "out"],
    "prune": ["prune", "bad", "--target-params", "0.5x", "--out", "out"],
    "dry prune": ["prune", "bad", "--target-macs", "1G", "--dry-run"],
    "sensitivity": ["sensitivity", "bad", "--out", "out"],
    "verify-prune": ["verify-prune", "bad"],
    "train": ["train", "--from", "bad", "--steps", "1", "--out", "out"],
    "run": ["run", "teacher.yaml"],
    "dry run": ["run", "teacher.yaml", "--dry-run"],
    "validate": ["validate", "teacher.yaml"],
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, noise: Callable[..., Any]) -> Path:
    """A folder from a stranger, with code in it."""
    from baseline.data.pictures import write_picture

    monkeypatch.chdir(tmp_path)
    for name in ("stranger.py", "hubconf.py", "kit/__init__.py", "kit/deep.py"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(RUNS_WHEN_IMPORTED)
    Path("in").mkdir()
    write_picture(noise(), Path("in/a.png"))
    return tmp_path


def artifact(architecture: str, arguments: dict[str, Any], folder: Path = Path("bad"), **more: Any) -> None:
    folder.mkdir(exist_ok=True)
    content = {"architecture": architecture, "arguments": arguments, "weights_sha256": "", **more}
    (folder / "model.json").write_text(json.dumps(content))
    (folder / "weights.safetensors").write_text("")


def recipe(name: str, *chain: dict[str, Any], **content: Any) -> None:
    variants = {"a": list(chain) or [{"prune": {"params_cut": 0.3}}]}
    Path(name).write_text(yaml.safe_dump({**content, "variants": variants}))


def lightsharp(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, prog_name="lightsharp")


def nothing_ran(done: Result) -> None:
    """Nothing of the stranger's was imported or run, and one line says so."""
    assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1), (done.output, done.exception)
    assert not Path("ran").exists()
    assert not {"stranger", "kit", "hubconf"} & set(sys.modules)
    assert not [entry for entry in sys.path if entry in ("", str(Path.cwd()))]


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_runs_what_an_artifact_names(command: str, folder: Path) -> None:
    recipe("teacher.yaml", teacher={"network": "bad"})
    for architecture, arguments in HOSTILE.items():
        for quantization in (None, {"scheme": "int8"}):
            artifact(architecture, arguments, quantization=quantization)
            done = lightsharp(*COMMANDS[command])
            nothing_ran(done)
            module = architecture.partition(":")[0]
            if module.isidentifier() and architecture == f"{module}:make":
                assert f"--allow-code {module}" in done.stderr
                assert "bad/model.json" in done.stderr


NETWORK = {"network": "stranger:make", "steps": 1}


@pytest.mark.parametrize("place", ["teacher", "train", "distill", "set"])
def test_no_recipe_runs_what_it_names(place: str, folder: Path) -> None:
    chains: dict[str, list[dict[str, Any]]] = {
        "train": [{"train": NETWORK}],
        "distill": [{"distill": {"student": "stranger:make", "steps": 1}}],
    }
    teacher = {"train": NETWORK} if place == "teacher" else {"network": "photos"}
    recipe("strange.yaml", *chains.get(place, ()), teacher=teacher)
    more = ("--set", "teacher.network=stranger:make") if place == "set" else ()  # an artifact's name is no code
    for command in (["run"], ["run", "--dry-run"]):
        nothing_ran(lightsharp(*command, "strange.yaml", *more))
    done = lightsharp("validate", "strange.yaml", *more)
    if place == "set":
        nothing_ran(done)
        return
    assert (done.exit_code, Path("ran").exists()) == (0, False)
    assert "not looked at: network 'stranger:make', code that you have not allowed; add --allow-code st" in done.stdout


@pytest.mark.parametrize("command", [["verify-prune"], ["apply"], ["train", "--steps", "1", "--out", "t", "--from"]])
def test_a_folder_whose_name_reads_as_code_is_a_folder(command: list[str], folder: Path) -> None:
    artifact("os:system", {"command": "touch ran"}, Path("os:system"))
    more = ["prune: {ratio: 0.5}", "--out", "out"] if command == ["apply"] else []
    nothing_ran(lightsharp(*command, "os:system", *more))


def test_no_entry_of_a_store_runs_what_it_names(folder: Path) -> None:
    store, data = Store(Path("runs/.store")), open_data(DataSettings())
    pipeline = Pipeline(store, data, lambda _: None)
    pipeline.teacher = artifact_folder("photos")
    (step,) = parse_steps({"prune": {"ratio": 0.3}}, "x")
    identity = pipeline.identity(pipeline.teacher, step)

    def plant(output: Path, _: Path) -> None:
        artifact("stranger:make", {}, output)
        (output / "outcome.json").write_text(json.dumps({"steps": 0, "minutes": 0, "pictures": 0, "details": {}}))

    store.make(key_of(identity), identity, plant)
    measure = {"runtimes": ["eager"], "size": [32, 32], "pictures": 1, "rounds": 1}
    recipe("mine.yaml", {"prune": {"ratio": 0.3}}, teacher={"network": "photos"}, measure=measure)
    done = lightsharp("run", "mine.yaml")
    assert (done.exit_code, Path("ran").exists(), "stranger" in sys.modules) == (2, False, False)
    (error,) = (line for line in done.stderr.splitlines() if line.startswith("error: "))
    assert f"{key_of(identity)}/model.json must be code that you allow; module stranger is not" in error


OWN = """
from torch import nn

def make(width=8):
    return nn.Sequential(nn.Conv2d(3, width, 3, padding=1), nn.Conv2d(width, 3, 3, padding=1))
"""


def test_what_was_typed_runs_and_its_artifact_after_it(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(OWN)
    small = ["--steps", "1", "--set", "batch=1", "--set", "crop=32", "--set", "workers=0"]
    trained = cli("train", "--network", "mine:make", *small, "--out", "own")
    assert trained.returncode == 0, trained.stderr
    measure = ["measure", "own", "--runtime", "eager", "--size", "32x32", "--rounds", "1", "--memory", "--json"]
    # The memory is measured by a process of its own.
    measured = cli(*measure)
    assert [row.get("peak_missing") for row in json.loads(measured.stdout)] == [None], measured.stderr
    elsewhere = {"XDG_STATE_HOME": str(tmp_path / "elsewhere")}
    refused = cli(*measure, **elsewhere)
    assert refused.returncode == 2
    assert "add --allow-code mine" in refused.stderr
    allowed = cli(*measure, "--allow-code", "mine", **elsewhere)
    assert [row.get("peak_missing") for row in json.loads(allowed.stdout)] == [None], allowed.stderr


@pytest.mark.parametrize(
    ("typed", "names"),
    [
        (["variants.a.0.distill.student=mine:make"], ["mine:make"]),
        (["variants.a=[{distill: {student: mine:make}}, {train: {network: other:make}}]"], ["mine:make", "other:make"]),
        (["teacher.train.network=mine:make", "variants.a.0.train.network=mimo-unet"], ["mine:make"]),
        (["teacher.network=mine:make", "description=mine:make", "data.root=a:b"], []),
    ],
)
def test_what_set_names_is_typed(typed: list[str], names: list[str]) -> None:
    assert code_assigned(typed) == names


def test_every_command_that_opens_a_network_takes_the_option() -> None:
    taking = {
        name
        for name, command in main.commands.items()
        if any("--allow-code" in option.opts for option in command.params)
    }
    opening = {words[0] for words in COMMANDS.values()}
    assert taking == opening
