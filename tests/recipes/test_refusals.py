"""What the command line prints where runtimes refuse a network: a line for each, and nothing of the libraries' own."""

from pathlib import Path

from tests.conftest import Cli

MODULE = """
import torch
from baseline.artifact import Artifact
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(6, 6, 1)

    def forward(self, image):
        parts = torch.fft.rfft2(image)
        real, imaginary = self.conv(torch.cat([parts.real, parts.imag], 1)).chunk(2, dim=1)
        return image + torch.fft.irfft2(torch.complex(real, imaginary), s=image.shape[-2:])

def make():
    return Net()
"""


def test_refusals_are_a_line_each(python_in: Cli, lightsharp: Cli, tmp_path: Path) -> None:
    (tmp_path / "frequencies.py").write_text(MODULE)
    build = "import frequencies as f, pathlib; f.Artifact(f.make(), 'frequencies:make', {}).save(pathlib.Path('a'))"
    assert python_in(tmp_path, "-c", build).returncode == 0
    done = lightsharp(
        tmp_path, "export", "a", "--to", "openvino,pte", "--size", "64x64", "--out", "f", "--allow-code", "frequencies"
    )
    assert done.returncode == 1
    assert [line.split(":")[:2] for line in done.stderr.splitlines()] == [
        ["failed", " a.xml"],
        ["failed", " a.pte"],
    ]
    alone = lightsharp(
        tmp_path, "export", "a", "--to", "pte", "--size", "64x64", "--out", "f", "--allow-code", "frequencies"
    )
    assert alone.returncode == 2
    assert len(alone.stderr.splitlines()) == 1
