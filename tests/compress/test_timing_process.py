"""Real processes: each target has its own, sleeps while another is timed, and fails alone."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import PIPE, Popen

import psutil
import pytest

from baseline.artifact import Artifact
from compress.latency import Latency, Untimed, time_in_turn
from compress.quantize import open_artifact
from compress.runtimes import onnxruntime
from compress.target import Target
from compress.timing_process import TimingProcess
from compress.timing_worker import TimingFailedError

ODD = """
import os, signal, sys
from torch import nn

class Odd(nn.Module):
    def __init__(self, what):
        super().__init__()
        self.layer, self.what, self.calls = nn.Conv2d(3, 3, 1), what, 0

    def forward(self, image):
        self.calls += 1
        if self.what.startswith("SIG") and self.calls > 3 and "pytest" not in sys.modules:
            os.kill(os.getpid(), getattr(signal, self.what))
        if self.what == "raises":
            raise IndexError("no such thing\\nand more")
        os.system("echo a library says so")
        print("and so does the network")
        return self.layer(image)

def make(what):
    return Odd(what)
"""
PARENT = """
import sys
from compress.target import Target
from compress.timing_process import TimingProcess
with TimingProcess() as process:
    process.open(Target(sys.argv[1], "eager", size=(32, 32)))
    print(process.pid, flush=True)
    process.turn(10**9)
"""
SMALL = (32, 32)


@pytest.fixture(scope="module")
def onnx(tmp_path_factory: pytest.TempPathFactory, float_folder: Path) -> Path:
    """The float artifact as a file of a runtime whose threads spin while they wait."""
    path = tmp_path_factory.mktemp("onnx") / "float.onnx"
    onnxruntime.export(open_artifact(float_folder), path, (64, 64))
    return path


@pytest.fixture
def odd(tmp_path: Path, importable: Callable[[str, str], str]) -> Iterator[Callable[[str], Target]]:
    """An artifact of a network that prints, and raises or ends its process when it is told to."""
    module = importable("odd_networks", ODD)

    def made(what: str) -> Target:
        folder = tmp_path / what
        Artifact.new(f"{module}:make", {"what": what}, 0).save(folder)
        return Target(str(folder), "eager", size=SMALL)

    yield made
    sys.modules.pop(module, None)


def test_while_one_target_is_timed_the_others_sleep(onnx: Path) -> None:
    target = Target(str(onnx), "onnxruntime", size=(64, 64), threads=2)
    with TimingProcess() as one, TimingProcess() as other:
        assert len({one.pid, other.pid, os.getpid()}) == 3
        for process in (one, other):
            process.open(target)
            process.turn(1)
        for timed, asleep in ((one, other), (other, one)):
            before = [_computed_s(process) for process in (timed, asleep)]
            timed.turn(5)
            at_work, at_rest = (_computed_s(p) - b for p, b in zip((timed, asleep), before, strict=True))
            assert at_work > 0
            assert at_rest < 0.02  # psutil counts in hundredths
    assert not psutil.pid_exists(one.pid)


def _computed_s(process: TimingProcess) -> float:
    times = psutil.Process(process.pid).cpu_times()
    return float(times.user + times.system)


def test_a_process_that_ends_is_one_targets_failure(float_folder: Path, odd: Callable[[str], Target]) -> None:
    targets = {
        "crashes": odd("SIGSEGV"),
        "killed": odd("SIGKILL"),
        "raises": odd("raises"),
        "too small": Target(str(float_folder), "eager", size=(30, 30)),
        "prints": odd("prints"),
        "fine": Target(str(float_folder), "eager", size=SMALL, threads=1),
    }
    taken = time_in_turn(targets, rounds=1)
    reasons = {name: one.reason for name, one in taken.items() if isinstance(one, Untimed)}
    assert reasons.keys() == {"crashes", "killed", "raises", "too small"}
    assert reasons["crashes"].startswith("its process ended with SIGSEGV: ")
    assert reasons["killed"].startswith("its process ended with SIGKILL, as when memory runs out: ")
    assert reasons["raises"] == "IndexError: no such thing"
    assert reasons["too small"].startswith("the size must be multiples of 4")
    assert all(isinstance(taken[name], Latency) for name in ("prints", "fine"))


def test_the_traceback_of_an_error_that_nobody_foresaw_is_shown(
    odd: Callable[[str], Target], capfd: pytest.CaptureFixture[str]
) -> None:
    with TimingProcess() as process, pytest.raises(TimingFailedError, match="IndexError: no such thing"):
        process.open(odd("raises"))
    assert 'raise IndexError("no such thing' in capfd.readouterr().err


def test_a_process_ends_with_its_parent_whatever_it_does(float_folder: Path) -> None:
    command = [sys.executable, "-c", PARENT, str(float_folder)]
    root = str(Path(__file__).parent.parent.parent)
    with Popen(command, stdout=PIPE, text=True, env=os.environ | {"PYTHONPATH": root}) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.send_signal(signal.SIGKILL)
    gone, alive = psutil.wait_procs([child], timeout=60)
    assert (len(gone), alive) == (1, [])
