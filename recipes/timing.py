"""The measure command: networks by name, timed in turn outside of a recipe."""

from pathlib import Path

from baseline.errors import UserError
from compress.latency import LatencySettings, time_in_turn
from compress.quantize import dtype_of
from compress.runtimes.table import RUNTIMES, file_runtime, memory_runtime, runtime_of
from recipes.measuring import Place, Subject, why_not
from recipes.networks import open_named
from recipes.resolve import artifact_folder, is_deployable
from reports.record import LatencyRow


def measure_named(names: tuple[str, ...], runtime: str, device: str, settings: LatencySettings) -> list[LatencyRow]:
    """The latency of each named network, all timed in turn; artifacts run without a file, on `runtime`."""
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"networks must be named once each; '{name}' is named {names.count(name)} times.")
    chosen = _runtime_in_memory(runtime, device)
    for name in names:
        reason = _why_not(name, chosen, device)
        if reason is not None:
            raise UserError(f"{name} must be something that can be timed on {device} with {chosen}; {reason}.")
    restorers = {name: open_named(name, chosen, device) for name in names}
    taken = time_in_turn(restorers, device, settings)
    return [
        LatencyRow(
            runtime=runtime_of(Path(name).suffix) if is_deployable(name) else chosen,
            device=device,
            dtype="as built" if is_deployable(name) else dtype_of(artifact_folder(name)),
            threads=taken[name].threads,
            batch=settings.batch,
            size=settings.size,
            median_ms=taken[name].median_ms,
            p10_ms=taken[name].p10_ms,
            p90_ms=taken[name].p90_ms,
            file=Path(name).name if is_deployable(name) else None,
        )
        for name in names
    ]


def _runtime_in_memory(runtime: str, device: str) -> str:
    """The runtime for artifacts: the one that was named, or the fastest that is usable on the device."""
    if runtime == "auto":
        return "eager" if memory_runtime("inductor").unavailable(device) else "inductor"
    if RUNTIMES[runtime].suffix is not None:
        raise UserError(
            f"runtime '{runtime}' must be one without files for artifacts. Export first: lightsharp export."
        )
    return runtime


def _why_not(name: str, runtime: str, device: str) -> str | None:
    """Why a named network cannot be timed on a device; None if it can."""
    if is_deployable(name):
        kind = runtime_of(Path(name).suffix)
        return None if device in RUNTIMES[kind].devices else file_runtime(kind).unavailable(device)
    return why_not(Subject(name, artifact_folder(name), {}), Place(runtime, device))
