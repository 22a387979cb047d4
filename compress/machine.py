"""Which machine numbers were taken on."""

import os
import platform
from collections.abc import Iterable
from pathlib import Path

import torch

_DECISIVE = (
    "avx512_vnni",
    "avx_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "amx_int8",
    "amx_bf16",
    "amx_fp16",
    "dotprod",
    "i8mm",
)


def describe_machine() -> dict[str, str]:
    """Processor, cores, instruction set, GPU and versions: what a latency depends on."""
    described = {
        "cpu": _cpu_name(),
        "cores": str(os.cpu_count()),
        "threads": str(torch.get_num_threads()),
        "cpu_features": _cpu_features(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
    if torch.cuda.is_available():
        described["gpu"] = torch.cuda.get_device_name()
        described["cuda"] = str(torch.version.cuda)
    return described


def cpu_has_any(features: Iterable[str]) -> bool:
    """Whether this CPU has one of these instruction sets, named as torch names them."""
    return bool(set(features) & set(_cpu_features().split()))


def saturates_int8() -> bool:
    """Whether INT8 products are added in pairs of 16 bits here: on x86 without VNNI, where the sums may saturate."""
    return platform.machine() in ("x86_64", "AMD64") and not cpu_has_any(("avx512_vnni", "avx_vnni"))


def _cpu_features() -> str:
    """The instruction sets that decide how fast a network is here."""
    capability = torch.backends.cpu.get_cpu_capability()
    if not hasattr(torch.cpu, "get_capabilities"):  # torch before 2.13
        return capability
    there = torch.cpu.get_capabilities()
    return " ".join([capability, *(name for name in _DECISIVE if there.get(name))])


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"
