import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from baseline.errors import UserError
from compress import memory
from compress.memory import peak_bytes, peak_mb
from compress.target import Target


def target(path: str, runtime: str, device: str = "cpu") -> Target:
    return Target(path, runtime, device, size=(8, 8), threads=1)


class Hungry(Target):
    """Holds 40 MB, takes 300 MB more in its first call, as a compiler would, and 80 MB more in every later one."""

    def open(self) -> "Hungry":
        object.__setattr__(self, "held", torch.ones(10_000_000))
        return self

    def __call__(self, blurred: Tensor) -> Tensor:
        torch.ones(75_000_000 if not hasattr(self, "called") else 20_000_000)
        object.__setattr__(self, "called", True)
        return blurred


def test_the_peak_on_a_cpu_is_weights_and_a_call_but_no_compiler() -> None:
    # What this process freed before may be given out again without becoming more: up to the 40 MB that are held.
    assert 75 < peak_bytes(Hungry("n", "eager", size=(8, 8), threads=1)) / 1e6 < 135


@pytest.mark.parametrize(("runtime", "expected"), [("inductor", 90 - 10), ("tensorrt", 500 - 350)])
def test_the_peak_on_a_gpu_is_what_torch_or_the_engine_took(
    monkeypatch: pytest.MonkeyPatch, runtime: str, expected: int
) -> None:
    calls: list[str] = []
    free = iter([500, 350])
    gpu = {
        "synchronize": lambda: None,
        "reset_peak_memory_stats": lambda: calls.append("reset"),
        "memory_allocated": lambda: 10,
        "max_memory_allocated": lambda: 90,
        "mem_get_info": lambda: (next(free), 1000),
    }
    for name, stand_in in gpu.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
    monkeypatch.setattr(Tensor, "to", lambda self, device: self)
    monkeypatch.setattr(Target, "open", lambda self: lambda picture: calls.append("called"))
    assert peak_bytes(target("n", runtime, "cuda")) == expected
    assert calls == ["reset", *["called"] * 4]


def test_each_target_has_a_process_of_its_own(float_folder: Path) -> None:
    weights_mb = (float_folder / "weights.safetensors").stat().st_size / 1e6
    assert weights_mb < peak_mb(target(str(float_folder), "eager")) < 300


def test_why_there_is_no_peak(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[str] = []

    def killed(command: list[str], **_: object) -> object:
        asked.extend(command[1:3])
        assert json.loads(command[3])["size"] == [8, 8]
        return SimpleNamespace(returncode=-9, stdout="", stderr="loading\nout of memory\n")

    monkeypatch.setattr(memory.subprocess, "run", killed)
    with pytest.raises(UserError, match="it ended with -9: out of memory"):
        peak_mb(target("n", "eager"))
    assert asked == ["-m", "compress.memory"]
    monkeypatch.setattr(memory.resident, "_STATUS", tmp_path / "status")
    with pytest.raises(UserError, match="must be read from Linux's /proc"):
        peak_mb(target("n", "eager"))
