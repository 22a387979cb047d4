import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio

from baseline.data.blur import shake
from baseline.data.pictures import Picture

Cli = Callable[..., object]
SMALL = [f"--set={a}" for a in ("batch=2", "crop=32", "workers=0", "arguments.width=8", "arguments.num_blocks=1")]


@pytest.fixture
def pairs(tmp_path: Path, photo: Picture) -> Path:
    """Two real pairs in folders, one of a size that is no multiple of 4."""
    for name, sharp in (("a", photo), ("b", photo[:101, :155])):
        for side in ("blur", "sharp"):
            (tmp_path / "pairs" / side).mkdir(parents=True, exist_ok=True)
        Image.fromarray(sharp).save(tmp_path / "pairs/sharp" / f"{name}.png")
        Image.fromarray(shake(sharp, np.random.default_rng(1), 4.0)).save(tmp_path / "pairs/blur" / f"{name}.png")
    return tmp_path / "pairs"


def test_a_network_is_trained_scored_and_restores(cli: Cli, pairs: Path, tmp_path: Path) -> None:
    trained = cli("train", "--steps", "2", *SMALL, "--out", "net")
    assert trained.returncode == 0, trained.stderr
    assert {p.name for p in (tmp_path / "net").iterdir()} == {"model.json", "weights.safetensors", "training.json"}
    again = cli("train", "--steps", "2", *SMALL, "--out", "net")
    assert again.returncode == 2
    assert "must not hold an artifact yet" in again.stderr

    scored = cli("eval", "net", "--data", "folder", "--root", "pairs", "--json")
    assert scored.returncode == 0, scored.stderr
    result = json.loads(scored.stdout)
    blurred = [
        peak_signal_noise_ratio(*(np.array(Image.open(pairs / side / f"{n}.png")) for side in ("sharp", "blur")))
        for n in "ab"
    ]
    assert [p["blurred_psnr_db"] for p in result["pictures"]] == pytest.approx(blurred, abs=1e-3)
    assert result["blurred"]["psnr_db"] == pytest.approx(np.mean(blurred), abs=1e-3)
    assert result["psnr_db"]["ci95"][0] <= result["psnr_db"]["mean"] <= result["psnr_db"]["ci95"][1]

    (pairs / "blur/broken.png").write_text("no picture")
    restored = cli("restore", "pairs/blur", "--network", "net", "--out", "restored")
    assert restored.returncode == 1
    assert "1 of 3 files could not be restored" in restored.stderr
    found = {p.name: Image.open(p).size for p in (tmp_path / "restored").glob("*.png")}
    assert found == {"a.png": (256, 192), "b.png": (155, 101)}
    # What is scored is what is saved.
    saved = peak_signal_noise_ratio(
        np.array(Image.open(pairs / "sharp/b.png")), np.array(Image.open(tmp_path / "restored/b.png"))
    )
    assert result["pictures"][1]["psnr_db"] == pytest.approx(saved, abs=1e-3)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["eval", "phtos"], "no network 'phtos'. Did you mean 'photos'?"),
        (["eval", "some/where"], "some/where must be an artifact's folder; there is none"),
        (["measure", "x.pt2"], "x.pt2"),
        (["train", "--steps", "0", "--out", "n"], "train.steps"),
        (["train", "--steps", "5", "--set", "stpes=3", "--out", "n"], "Did you mean 'steps'?"),
        (["export", "photos", "--to", "onx", "--out", "n.onx"], "Did you mean 'onnx'?"),
        (["export", "photos", "--out", "n.onnx"], "--out must end in .pt2; got n.onnx. Or add --to onnx."),
        (["eval", "mimo-unet"], "the network must be a trained one; mimo-unet would be built anew. Train it first: "),
        (["export", "own:make", "--out", "n.pt2"], "Train it first: lightsharp train --network own:make --out FOLDER"),
        (["restore", "nothing.png", "--out", "o"], "nothing.png must be a picture, a video or a folder of them"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(cli: Cli, arguments: list[str], said: str) -> None:
    done = cli(*arguments)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_an_export_leaves_what_is_there(cli: Cli, float_folder: Path, tmp_path: Path) -> None:
    beside = tmp_path / f"{float_folder.name}.bin"
    beside.write_text("precious")
    done = cli("export", str(float_folder), "--to", "openvino", "--size", "64x64", "--out", str(tmp_path))
    assert done.returncode == 2, done.stderr
    assert f"{beside} must not be there yet; it is. Choose another --out, or add --overwrite." in done.stderr
    assert beside.read_text() == "precious"


def test_int8_in_memory_is_timed_in_batches(cli: Cli, int8_folder: Path) -> None:
    done = cli("measure", str(int8_folder), "--runtime", "eager", "--size", "64x64", "--batch", "2", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["batch"] == 2


def test_the_doctor_names_every_runtime(cli: Cli) -> None:
    done = cli("doctor", "--json", CXX="/nonexistent/g++")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert rows["runtime eager on cpu"] == "ready"
    assert "apt-get install g++" in rows["runtime aoti on cpu"]


def test_standard_output_on_a_full_disk_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "recipes.cli", "show", "demo"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.stderr.startswith("error: ")
    assert "must have room on its disk" in done.stderr
    assert "Traceback" not in done.stderr
