"""doctor: what is here, what is not, and what to type."""

import importlib.metadata
import json
import re

import click

from recipes.plain_table import plain_list
from recipes.printing import output
from reports.folding_text import FoldingText

_USED_FOR = {
    "track": "for train --track",
    "onnx": "for .onnx files",
    "openvino": "for OpenVINO files",
    "executorch": "for .pte files",
    "tensorrt": "for TensorRT engines",
}
"""What an optional part is for, by its extra."""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def doctor(as_json: bool) -> None:
    """Say which devices, compilers, runtimes and libraries are there, and what to type for those that are not."""
    from compress.machine import describe_machine

    rows = {**describe_machine(), **_runtimes(), **_libraries()}
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    table = plain_list()
    for name, found in rows.items():
        table.add_row(FoldingText(name, style="bold"), found)
    output().print(table)


def _runtimes() -> dict[str, str]:
    from compress.runtimes.table import RUNTIMES, file_runtime, memory_runtime

    found: dict[str, str] = {}
    for name in RUNTIMES:
        module = memory_runtime(name) if RUNTIMES[name].suffix is None else file_runtime(name)
        for device in ("cpu", "cuda"):
            found[f"runtime {name} on {device}"] = module.unavailable(device) or "ready"
    return found


def _libraries() -> dict[str, str]:
    """Every library of our own metadata: its version, or for a missing optional one what to type."""
    found: dict[str, str] = {}
    for line in importlib.metadata.requires("lightsharp") or []:
        requirement, _, marker = line.partition(";")
        name = re.split(r"[<>=!~ ]", requirement, maxsplit=1)[0]
        extra = marker.partition("==")[2].strip(" '\"")
        if extra != "dev":
            wanted = _USED_FOR.get(extra, "not used yet")
            found.setdefault(name, _version(name) or f"not there; {wanted}: pip install 'lightsharp[{extra}]'")
    return found


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
