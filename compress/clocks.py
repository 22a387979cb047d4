"""Clocks and power at this moment, where the machine lets them be read: conditions that a latency was taken under."""

import re
import shutil
import subprocess
from pathlib import Path

import torch

_CPU_INFO = Path("/proc/cpuinfo")
_CPU_FREQUENCIES = Path("/sys/devices/system/cpu")
_ASKED = "clocks.sm,clocks.mem,power.draw,temperature.gpu"


def clocks(device: str) -> str:
    """The clock of the CPU, or clocks, power and temperature of the GPU, in words; or that they cannot be read."""
    return _gpu() if device == "cuda" else _cpu()


def _cpu() -> str:
    stated = _CPU_INFO.read_text() if _CPU_INFO.is_file() else ""
    mhz = [float(found) for found in re.findall(r"^cpu MHz\s*: ([\d.]+)", stated, re.MULTILINE)]
    if not mhz:
        files = _CPU_FREQUENCIES.glob("cpu[0-9]*/cpufreq/scaling_cur_freq")
        mhz = [int(path.read_text()) / 1000 for path in files]
    if not mhz:
        return "CPU clock not readable"
    low, high = min(mhz), max(mhz)
    return f"CPU at {low:.0f} MHz" if round(low) == round(high) else f"CPU at {low:.0f} to {high:.0f} MHz"


def _gpu() -> str:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return "GPU clocks not readable (no nvidia-smi)"
    chosen = f"--id=GPU-{torch.cuda.get_device_properties(0).uuid}"
    done = subprocess.run(
        [tool, chosen, f"--query-gpu={_ASKED}", "--format=csv,noheader"], capture_output=True, text=True
    )
    values = [value.strip() for value in done.stdout.strip().split(",")]
    if done.returncode != 0 or len(values) != 4:
        return "GPU clocks not readable (nvidia-smi failed)"
    core, memory, power, celsius = values
    return f"GPU at {core}, its memory at {memory}, {power}, {celsius} C"
