"""AOTInductor: a `.pt2` file of compiled CPU code and weights, stripped, that states what it was built for.

Loading a `.pt2` runs the native code in it: open only files whose source you trust.
"""

import json
import operator
import platform
import re
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import torch
import torch._inductor
from torch import Tensor, nn
from torch._inductor.cpu_vec_isa import pick_vec_isa
from torch.fx import GraphModule, Node
from torch.fx.node import Argument

from baseline.atomic import whole_file
from baseline.errors import UserError
from baseline.restorer import in_batches, sizes_from, stated_sizes
from compress.early import quantize_early_
from compress.graph import deployed_graph, dynamic_sides
from compress.half import half_weights_of
from compress.rewriting import kept_if_same, left_out_note, small_photographs
from compress.runtimes import compiler

_COMPILING = {"freezing": True, "cpp.dynamic_threads": True}
"""Weights laid out in advance; and the number of threads taken when run, not that of the machine that compiled."""

_NOTE = "lightsharp.json"
_MULTIPLE = "size_multiple"
_NOTE_KEYS = (_MULTIPLE, "torch", "machine", "instruction_set")
_INSTRUCTION_SETS: dict[str, Callable[[], bool]] = {
    "AVX2": torch.cpu._is_avx2_supported,
    "AVX512": torch.cpu._is_avx512_supported,
    "AVX512_VNNI": torch.cpu._is_vnni_supported,
    "AMX_TILE": torch.cpu._is_amx_tile_supported,
}


def unavailable(device: str) -> str | None:
    """Our `.pt2` files are for CPUs, and making them needs a C++ compiler."""
    return compiler.missing() if device == "cpu" else ".pt2 files are built for CPUs here; use runtime inductor on CUDA"


def export(network: nn.Module, path: Path, size: tuple[int, int]) -> dict[str, str]:
    """Compile for this machine's instruction set, traced at height x width; the file takes any size that fits."""
    reason = compiler.missing()
    if reason:
        raise UserError(f"exporting to .pt2 must have a C++ compiler; {reason}.")
    example = torch.zeros(1, 3, *size)
    graph = deployed_graph(network, example)
    pictures = small_photographs(network)
    graph, left_out = kept_if_same(graph, "rounding before moving", quantize_early_, pictures)
    graph, also = kept_if_same(graph, "copies of views", copy_views_, pictures)
    with tempfile.TemporaryDirectory() as work, torch.no_grad():
        program = torch.export.export(graph, (example,), dynamic_shapes=dynamic_sides(network))
        whole = Path(
            torch._inductor.aoti_compile_and_package(
                program, package_path=f"{work}/whole.pt2", inductor_configs=_COMPILING
            )
        )
        built_for = {**stated_sizes(network), "torch": torch.__version__, **_built_for(whole), **_census(whole)}
        built_for |= left_out_note([*left_out, *also])
        with whole_file(path) as beside:
            _strip(whole, beside, built_for, packed=half_weights_of(network) is not None)
    return built_for


def copy_views_(graph: GraphModule) -> int:
    """Copy what convolutions read where it is a view, such as a slice or a permutation; returns how many.

    torch 2.13 gives a view of one picture a batch stride of 0. In code for any size, a float convolution then writes
    its output in another order than it is read in: files were off by 0.5. Most copies are made as the values are.
    """
    views = [
        (node, node.all_input_nodes[0])
        for node in graph.graph.nodes
        if "aten.conv" in str(node.target) and _is_view(node.all_input_nodes[0])
    ]
    for node, view in views:
        with graph.graph.inserting_before(node):
            # Torch leaves out a copy that has its strides, and chooses the view's later: of two orders one is another.
            copied = _copy(graph, _copy(graph, view, torch.channels_last), torch.contiguous_format)
        node.replace_input_with(view, copied)
    graph.recompile()
    return len(views)


def _copy(graph: GraphModule, values: Node, order: torch.memory_format) -> Node:
    named: dict[str, Argument] = {"memory_format": order}
    return graph.graph.call_function(torch.ops.aten.clone.default, (values,), named)


def _is_view(node: Node) -> bool:
    """Whether a node's values are those of another's memory; one of several parts counts by what parts it."""
    operation = node.all_input_nodes[0].target if node.target is operator.getitem else node.target
    return bool(getattr(operation, "is_view", False))


class AotiRestorer:
    """An opened `.pt2`: batches go through it picture by picture."""

    fixed_size: tuple[int, int] | None = None
    max_batch: int | None = 1

    def __init__(self, path: Path) -> None:
        built_for = read_note(path)
        refuse_other_machine(path, built_for)
        self.size_multiple, self.min_size = sizes_from(built_for)
        self._run = torch._inductor.aoti_load_package(str(path))

    @torch.inference_mode()
    def __call__(self, blurred: Tensor) -> Tensor:
        # The compiled code reads memory in the order in which it was traced, and does not look at strides.
        return in_batches(lambda part: self._run(part.contiguous()), blurred, self.max_batch)


def open_file(path: Path) -> AotiRestorer:
    """A restorer from a `.pt2` of ours; a UserError if it was built for another machine or torch."""
    return AotiRestorer(path)


def read_note(path: Path) -> dict[str, str]:
    """What a `.pt2` was built for, read without running anything in it; a UserError if it is not one of ours."""
    try:
        with zipfile.ZipFile(path) as archive:
            # Code that is damaged would crash the process: every byte is held against its checksum first.
            damaged = archive.testzip()
            name = next(n for n in archive.namelist() if n.endswith(_NOTE))
            note = json.loads(archive.read(name))
            sizes_from(note)
            whole = {key: str(value) for key, value in note.items() if key in _NOTE_KEYS or key == "min_size"}
            missing = set(_NOTE_KEYS) - set(whole)
            holds_code = any(n.endswith(".so") for n in archive.namelist())
    except (zipfile.BadZipFile, StopIteration, ValueError, KeyError, TypeError):
        raise _foreign(path) from None
    if damaged is not None or missing or not holds_code:
        raise _foreign(path)
    return whole


def _foreign(path: Path) -> UserError:
    return UserError(
        f"{path} must be a .pt2 that lightsharp wrote; it is damaged or foreign. Make it with lightsharp export."
    )


def refuse_other_machine(path: Path, built_for: dict[str, str]) -> None:
    """A UserError if the file's code would not run here."""
    needed = built_for["instruction_set"].split()
    lacking = [name for name in needed if not _has(name)]
    if built_for["machine"] != platform.machine():
        lacking.insert(0, built_for["machine"])
    if lacking:
        raise UserError(
            f"{path} must run on this CPU; it was built for {built_for['machine']} {built_for['instruction_set']}, and "
            f"{', '.join(lacking)} is missing here. Rebuild it on this machine: lightsharp export ARTIFACT --to pt2."
        )
    if built_for["torch"] != torch.__version__:
        raise UserError(
            f"{path} must be built for torch {torch.__version__}; it is for {built_for['torch']}. "
            "Rebuild it: lightsharp export ARTIFACT --to pt2."
        )


def _has(instruction_set: str) -> bool:
    """Whether this CPU has it; one that is not in the table must be what torch would compile for here."""
    known = _INSTRUCTION_SETS.get(instruction_set)
    return known() if known is not None else instruction_set in str(pick_vec_isa()).split()


def _built_for(package: Path) -> dict[str, str]:
    with zipfile.ZipFile(package) as archive:
        name = next(n for n in archive.namelist() if n.endswith("wrapper_metadata.json"))
        stated = json.loads(archive.read(name))
    return {"machine": stated["AOTI_MACHINE"], "instruction_set": stated["AOTI_CPU_ISA"]}


def _census(package: Path) -> dict[str, str]:
    """How many convolutions the compiled code calls in integers, and how many in float."""
    with zipfile.ZipFile(package) as archive:
        code = "".join(archive.read(name).decode() for name in archive.namelist() if name.endswith(".wrapper.cpp"))
    calls = re.findall(r"\baoti_torch_cpu_(\w*conv\w*)\(", code)
    integer = sum("qconv" in call for call in calls)
    return {"integer_convolutions": str(integer), "float_convolutions": str(len(calls) - integer)}


def _strip(whole: Path, target: Path, note: dict[str, str], packed: bool) -> None:
    """Copy a package without its C++ sources and debug sections, with a note on what it was built for.

    `packed`: deflated. Of FP32 weights that are half-precision numbers, the many zero bits go; opening takes longer.
    """
    kind = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(target, "w", kind, compresslevel=9) as stripped:
        for name in source.namelist():
            if not name.endswith(".cpp"):
                content = source.read(name)
                content = _without_debug(content) if name.endswith(".so") else content
                stripped.writestr(zipfile.ZipInfo(name), content, kind, 9)
        root = source.namelist()[0].split("/")[0]
        stripped.writestr(zipfile.ZipInfo(f"{root}/extra/{_NOTE}"), json.dumps(note, indent=1))


def _without_debug(library: bytes) -> bytes:
    tool = shutil.which("strip")
    if tool is None:
        return library
    with tempfile.NamedTemporaryFile(suffix=".so") as file:
        Path(file.name).write_bytes(library)
        subprocess.run([tool, "--strip-unneeded", file.name], check=True)
        return Path(file.name).read_bytes()
