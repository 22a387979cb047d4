"""What several folders of tests share: tiny networks, real pictures, the command line, and two compiled files."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

# The folders tests/baseline, tests/compress, ... must not stand in for the packages of the same names.
ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402  after the path is set
import pytest  # noqa: E402
import torch  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from baseline.artifact import Artifact  # noqa: E402
from baseline.data.loader import to_tensor  # noqa: E402
from baseline.data.photos import FOLDER, load_photo  # noqa: E402
from baseline.data.pictures import Picture, list_pictures  # noqa: E402
from baseline.networks.zoo import build  # noqa: E402
from baseline.user_code import VARIABLE  # noqa: E402

Cli = Callable[..., subprocess.CompletedProcess[str]]

TINY = {"width": 8, "num_blocks": 1}

if TYPE_CHECKING:
    from compress.quantize import Material


def pytest_configure(config: pytest.Config) -> None:
    # Tiny layers do not gain from a second thread, and lose fifty times as much when another program is running.
    torch.set_num_threads(1)
    # What tests run is not kept among what their user ran.
    state = tempfile.TemporaryDirectory()
    config.add_cleanup(state.cleanup)
    os.environ["XDG_STATE_HOME"] = state.name


def python(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python in another folder, with our packages in its path."""
    variables = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "COLUMNS": "200"} | environment
    return subprocess.run([sys.executable, *arguments], cwd=cwd, env=variables, capture_output=True, text=True)


@pytest.fixture(scope="session")
def lightsharp() -> Cli:
    """Run the command line in the folder that comes first."""
    return lambda folder, *arguments, **environment: python("-m", "recipes.cli", *arguments, cwd=folder, **environment)


@pytest.fixture(scope="session")
def python_in() -> Cli:
    """Run Python in the folder that comes first."""
    return lambda folder, *arguments, **environment: python(*arguments, cwd=folder, **environment)


@pytest.fixture
def run_python(tmp_path: Path) -> Cli:
    """Run Python in an empty folder."""
    return lambda *arguments, **environment: python(*arguments, cwd=tmp_path, **environment)


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """Run the command line in an empty folder."""
    return lambda *arguments, **environment: python("-m", "recipes.cli", *arguments, cwd=tmp_path, **environment)


@pytest.fixture
def tiny() -> Callable[..., nn.Module]:
    """A MIMO-UNet of width 8 and one block with random weights, or a variation of it."""

    def make(seed: int = 0, **arguments: object) -> nn.Module:
        torch.manual_seed(seed)
        return build("mimo-unet", TINY | arguments).eval()

    return make


@pytest.fixture(scope="session")
def photo() -> Picture:
    """192x256 pixels out of a shipped training photograph."""
    return load_photo(list_pictures(FOLDER / "train")[4])[100:292, 200:456]


@pytest.fixture(scope="session")
def photo_tensor(photo: Picture) -> Tensor:
    """The same as 1,3,192,256 in 0..1."""
    return to_tensor(photo)[None]


@pytest.fixture(scope="session")
def crops(photo_tensor: Tensor) -> list[Tensor]:
    """Four real crops of 64x64 to calibrate on."""
    return [photo_tensor[..., top : top + 64, left : left + 64] for top in (0, 128) for left in (0, 128)]


@pytest.fixture(scope="session")
def material(crops: list[Tensor]) -> "Material":
    """The crops, each its own sharp picture."""
    from compress.quantize import Material

    return Material(crops, crops)


@pytest.fixture(scope="session")
def float_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The artifact of a tiny float network. Read only."""
    folder = tmp_path_factory.mktemp("artifacts") / "float"
    Artifact.new("mimo-unet", TINY, seed=0).save(folder)
    return folder


@pytest.fixture(scope="session")
def int8_folder(tmp_path_factory: pytest.TempPathFactory, material: "Material", float_folder: Path) -> Path:
    """The same network quantized. Read only."""
    from baseline.artifact import load
    from compress.quantize import quantize
    from compress.quantizing_settings import QuantizeSettings

    folder = tmp_path_factory.mktemp("artifacts") / "int8"
    quantize(load(float_folder), material, QuantizeSettings(scheme="int8"), folder)
    return folder


def _compiled(folder: Path, path: Path) -> Path:
    from compress.quantize import open_artifact
    from compress.runtimes import aoti

    aoti.export(open_artifact(folder), path, (64, 64))
    return path


@pytest.fixture(scope="session")
def float_pt2(tmp_path_factory: pytest.TempPathFactory, float_folder: Path) -> Path:
    """The float artifact compiled: 20 seconds, so once a session."""
    return _compiled(float_folder, tmp_path_factory.mktemp("compiled") / "float.pt2")


@pytest.fixture(scope="session")
def int8_pt2(tmp_path_factory: pytest.TempPathFactory, int8_folder: Path) -> Path:
    """The INT8 artifact compiled."""
    return _compiled(int8_folder, tmp_path_factory.mktemp("compiled") / "int8.pt2")


@pytest.fixture
def noise() -> Callable[..., Picture]:
    """A picture of random pixels: height, width, seed."""

    def make(height: int = 48, width: int = 64, seed: int = 0) -> Picture:
        return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)

    return make


@pytest.fixture
def importable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], str]:
    """Make a user's module of a name and a source, which can be imported, and is allowed, while the test runs."""

    def made(name: str, source: str) -> str:
        (tmp_path / f"{name}.py").write_text(source)
        monkeypatch.delitem(sys.modules, name, raising=False)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setenv(VARIABLE, ",".join(filter(None, [os.environ.get(VARIABLE), name])))
        return name

    return made
