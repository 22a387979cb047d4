import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from baseline.artifact import load
from baseline.errors import UserError
from baseline.restorer import NetworkRestorer
from compress.quantize import Material, open_artifact, quantize
from compress.quantizing_settings import QuantizeSettings
from compress.runtimes import onnxruntime, openvino
from compress.runtimes.table import files_of, open_deployable

RUNTIMES = {"onnxruntime": onnxruntime, "openvino": openvino}
SUFFIXES = {"onnxruntime": ".onnx", "openvino": ".xml"}


def db(one: Tensor, other: Tensor) -> float:
    return -10 * np.log10((one - other).square().mean().item())


@pytest.fixture(scope="module")
def full_int8_folder(tmp_path_factory: pytest.TempPathFactory, float_folder: Path, material: Material) -> Path:
    """Sums in integers, too."""
    folder = tmp_path_factory.mktemp("artifacts") / "full"
    quantize(load(float_folder), material, QuantizeSettings(scheme="int8", sums="int8"), folder)
    return folder


@pytest.fixture(scope="module", params=RUNTIMES)
def written(request, tmp_path_factory: pytest.TempPathFactory, float_folder: Path, full_int8_folder: Path):
    """A runtime's files of the float and of the INT8 network, and their notes."""
    work, name = tmp_path_factory.mktemp(request.param), request.param
    files = {kind: work / f"{kind}{SUFFIXES[name]}" for kind in ("fp32", "int8")}
    networks = {"fp32": open_artifact(float_folder), "int8": open_artifact(full_int8_folder)}
    notes = {kind: RUNTIMES[name].export(networks[kind], files[kind], (64, 64)) for kind in files}
    return files, notes, networks


def test_a_file_is_the_network_at_any_size_on_any_number_of_threads(written, photo_tensor: Tensor) -> None:
    files, _, networks = written
    before = torch.get_num_threads()
    for kind, least in (("fp32", 110.0), ("int8", 45.0)):
        restorer = open_deployable(files[kind])
        assert (restorer.size_multiple, restorer.fixed_size, restorer.max_batch) == (4, None, 1)
        for threads, size in ((1, (64, 64)), (2, (96, 44))):
            torch.set_num_threads(threads)
            pictures = torch.cat([photo_tensor[..., : size[0], : size[1]], photo_tensor[..., -size[0] :, -size[1] :]])
            assert db(restorer(pictures), NetworkRestorer(networks[kind])(pictures)) > least
    torch.set_num_threads(before)


def test_convolutions_run_in_integers_where_they_should(written, float_folder: Path) -> None:
    _, notes, _ = written
    count = sum(isinstance(m, nn.Conv2d | nn.ConvTranspose2d) for m in load(float_folder).network.modules()) - 2
    assert [int(notes["fp32"][f"{kind}_convolutions"]) for kind in ("integer", "float")] == [0, count]
    integer, in_float = (int(notes["int8"][f"{kind}_convolutions"]) for kind in ("integer", "float"))
    # The last convolution gives the float output: ONNX Runtime has no kernel from integers to float.
    assert integer + in_float == count
    assert integer >= count - 1


def test_a_float_file_of_openvino_runs_in_single_precision(float_folder: Path, tmp_path: Path) -> None:
    # It can fail only on a CPU with BF16: there, OpenVINO would take that unasked.
    path = tmp_path / "network.xml"
    openvino.export(open_artifact(float_folder), path, (64, 64))
    ran = {precision for kind, precision in openvino.operators(path) if "onvolution" in kind}
    assert ran == {"f32"}


def test_memory_is_given_back_between_pictures(written) -> None:
    files, _, _ = written
    restorer = open_deployable(files["fp32"])
    before = [restorer(torch.zeros(1, 3, *size)).clone() for size in ((64, 64), (32, 48))]
    restorer.release()
    again = [restorer(torch.zeros(1, 3, *size)).clone() for size in ((64, 64), (32, 48))]
    assert all(torch.equal(a, b) for a, b in zip(before, again, strict=True))


def test_int8_files_are_smaller(written) -> None:
    files, _, _ = written
    sizes = {kind: files_of(path)[-1].stat().st_size for kind, path in files.items()}
    assert sizes["int8"] < sizes["fp32"]
    assert {f.name for f in files["fp32"].parent.iterdir()} == {
        f.name for path in files.values() for f in files_of(path)
    }


@pytest.mark.parametrize("name", RUNTIMES)
def test_damaged_and_foreign_files_are_refused(name: str, written, tmp_path: Path) -> None:
    path = tmp_path / f"bad{SUFFIXES[name]}"
    path.write_text("hello")
    path.with_suffix(".bin").write_text("")
    with pytest.raises(UserError, match=r"that lightsharp wrote; it is damaged or foreign\. Make it with lightsharp"):
        open_deployable(path)


def test_both_files_of_openvino_must_be_there(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text("<net/>")
    with pytest.raises(UserError, match=r"a\.xml must have a\.bin beside it; there is none\. Copy both files\.$"):
        open_deployable(tmp_path / "a.xml")


def test_weights_of_openvino_that_changed_are_not_run(float_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "changed.xml"
    openvino.export(open_artifact(float_folder), path, (64, 64))
    open_deployable(path)
    weights = bytearray(path.with_suffix(".bin").read_bytes())
    weights[1000] ^= 1
    path.with_suffix(".bin").write_bytes(weights)
    with pytest.raises(UserError, match=r"changed\.xml must be an OpenVINO file .*; it is damaged or foreign"):
        open_deployable(path)


@pytest.mark.parametrize("name", RUNTIMES)
def test_a_runtime_that_is_not_installed_is_named(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    extra = {"onnxruntime": "onnx", "openvino": "openvino"}[name]
    monkeypatch.setattr(RUNTIMES[name].importlib.util, "find_spec", lambda _: None)
    reason = f"{name} is not installed; type: pip install 'lightsharp[{extra}]'"
    assert RUNTIMES[name].unavailable("cpu") == reason
    with pytest.raises(UserError, match=r"is not installed; type: pip install"):
        RUNTIMES[name].export(nn.Identity(), tmp_path / "x", (64, 64))


def test_signals_are_survived_after_files_of_openvino_were_opened_and_closed(
    float_folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / "network.xml"
    openvino.export(open_artifact(float_folder), path, (64, 64))
    # Each plugin of OpenVINO puts a stack for signals in place, and takes it away with it.
    told = f"""
import signal, subprocess, sys, torch
from pathlib import Path
from compress.runtimes.table import open_deployable

opened = [open_deployable(Path({str(path)!r})) for _ in range(2)]
[restorer(torch.rand(1, 3, 64, 64)) for restorer in opened]
del opened[0]
del opened[0]
signal.signal(signal.SIGCHLD, lambda *_: print("survived"))
subprocess.run([sys.executable, "-c", ""])
"""
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "survived\n"), done.stderr
