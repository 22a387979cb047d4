"""Deployables that are proved: written, opened in a fresh process, run on real pictures, compared with the network."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from baseline.atomic import disk_full, room_in
from baseline.data.loader import to_tensor
from baseline.data.photos import FOLDER, load_photo
from baseline.data.pictures import list_pictures
from baseline.errors import UserError
from baseline.restorer import NetworkRestorer, fitting_size, min_size_of, restore_any_size, size_multiple_of
from compress.arithmetic import arithmetic_text
from compress.half import half_weights_of
from compress.quiet import quiet
from compress.runtimes.table import device_of_files, file_runtime, files_of, open_deployable, size_mb

_ODD_SIZE = (101, 157)
_FIXED_SIZE = "fixed_size"

_PRECISION = "precision"

_LARGEST_DIFFERENCE = {"fp32": 1e-4}
_LEAST_DB = {"fp16": 55.0, "bf16": 40.0, "int8": 40.0}
"""What a file must agree to, by what its artifact computes in here. In INT8 a value between two steps may fall to
either: files of the teacher agreed to 55 to 60 dB. Sums that saturate were found at 32 to 44 dB, and some would pass;
weights of 7 bits prevent them."""


@dataclass(frozen=True)
class Agreement:
    """How a file's output compares with its artifact's on one real picture."""

    size: tuple[int, int]
    psnr_db: float
    largest_difference: float


@dataclass(frozen=True)
class Deployed:
    """What was written, what it was built for, and how it agrees with its artifact.

    `float_agreement`: with the float network that its artifact was made from by quantizing; None if that is not known.
    `tiles`, of files of a fixed size: how a larger picture in tiles agrees with the artifact's output for the whole.
    Networks that look at the whole picture, to take its mean say, give others.
    """

    runtime: str
    built_for: dict[str, str]
    agreement: list[Agreement]
    megabytes: float
    tiles: Agreement | None = None
    float_agreement: list[Agreement] | None = None

    def as_json(self) -> dict[str, Any]:
        """The same as JSON holds it."""
        return asdict(self)


def export_checked(
    network: nn.Module,
    runtime: str,
    dtype: str,
    path: Path,
    size: tuple[int, int],
    float_network: nn.Module | None = None,
) -> Deployed:
    """Write a deployable of a network from `compress.quantize.open_artifact` and prove it; `dtype` is its precision.

    It is compared with `float_network`, too, what a quantized network was made from; a float one is that itself.

    A UserError, and no file, if the runtime refuses the network, if the file's outputs are not the artifact's, or if a
    file of an INT8 artifact computes no convolution in integers.
    """
    with room_in(path.parent), tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.stem}-") as work:
        made = Path(work) / path.name
        built_for = _exported(network, runtime, made, size) | _precision_note(runtime, dtype)
        if dtype == "int8" and built_for.get("integer_convolutions") == "0":
            raise UserError(
                f"{path.name} must compute convolutions in integers; {runtime} computes all of them in float. "
                "Quantize with other settings (such as sums: int8), or take another runtime."
            )
        pictures = _real_pictures(size, size_multiple_of(network), min_size_of(network))
        known = [network] if float_network is None else [network, float_network]
        against = compare(known, made, pictures)
        found = against[0]
        _check(found, runtime, "fp32" if half_weights_of(network) else dtype, path)
        tiles = _tiles_against_whole(network, size) if _FIXED_SIZE in built_for else None
        # The one that is named comes last: where it is, the others are.
        for file in reversed(files_of(made)):
            file.replace(path.with_name(file.name))
    of_float = against[-1] if dtype == "fp32" or float_network is not None else None
    return Deployed(runtime, built_for, found, size_mb(path), tiles, of_float)


def _precision_note(runtime: str, dtype: str) -> dict[str, str]:
    """What a file of half-precision weights computes in, and why; nothing for others."""
    if dtype not in ("fp16", "bf16"):
        return {}
    if runtime == "onnxruntime":
        return {_PRECISION: f"weights in {dtype.upper()}, arithmetic in FP32: ONNX Runtime has no other on CPUs"}
    return {_PRECISION: arithmetic_text(dtype, device_of_files(runtime))}


def _exported(network: nn.Module, runtime: str, path: Path, size: tuple[int, int]) -> dict[str, str]:
    """What the file was built for. A UserError, too, for an operator that a runtime's own code cannot take."""
    try:
        with quiet():
            return file_runtime(runtime).export(network, path, size)
    except UserError:
        raise
    except Exception as error:  # whatever torch, ONNX and four runtimes raise
        if disk_full(error) is not None:
            raise
        said = _telling_line(error)
        raise UserError(
            f"{runtime} must take every operator of the network; it says: {said[:300]}. Take another runtime."
        ) from error


def _telling_line(error: Exception) -> str:
    """The first line that tells more than where in a runtime's own source the error was raised."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return next((line for line in lines if not line.startswith(("Exception from", "Check '", "FrontEnd"))), lines[0])


def compare(networks: Sequence[nn.Module], path: Path, pictures: Sequence[Tensor]) -> list[list[Agreement]]:
    """A deployable's outputs, from a process that has seen only the file, against each network's; 1,3,H,W each."""
    from_file, fixed_size = _in_fresh_process(path, pictures)
    found = []
    for network in networks:
        restorer = NetworkRestorer(network)
        # What lies beyond a picture's border counts: the network gets the same padding and the same tiles as the file.
        restorer.fixed_size = fixed_size
        found.append([_agreement(o, restore_any_size(restorer, p)) for p, o in zip(pictures, from_file, strict=True)])
    return found


def _agreement(output: Tensor, expected: Tensor) -> Agreement:
    difference = (output - expected).abs()
    error = float(difference.square().mean())
    psnr_db = -10 * torch.log10(torch.tensor(max(error, 1e-20))).item()
    return Agreement((output.shape[-2], output.shape[-1]), psnr_db, float(difference.max()))


def _tiles_against_whole(network: nn.Module, size: tuple[int, int]) -> Agreement | None:
    """On a photograph cut to one and a half times the size; None if it is no larger than a tile."""
    photo = to_tensor(load_photo(list_pictures(FOLDER / "val")[0]))[None]
    larger = photo[..., : size[0] * 3 // 2, : size[1] * 3 // 2]
    if larger.shape[-2] <= size[0] and larger.shape[-1] <= size[1]:
        return None
    restorer = NetworkRestorer(network)
    whole = restore_any_size(restorer, larger)
    restorer.fixed_size = size
    return _agreement(restore_any_size(restorer, larger), whole)


def _check(found: Sequence[Agreement], runtime: str, dtype: str, path: Path) -> None:
    for one in found:
        place = f"on a real picture of {one.size[0]}x{one.size[1]}"
        limit = _LARGEST_DIFFERENCE.get(dtype)
        if limit is not None and not one.largest_difference <= limit:
            raise UserError(
                f"{path.name} must give what its artifact gives, to {limit:g}; {place} it is off by "
                f"{one.largest_difference:.2g} with {runtime}. It is not kept: take another runtime."
            )
        least = _LEAST_DB.get(dtype, 0.0)
        if not one.psnr_db >= least:
            raise UserError(
                f"{path.name} must agree with its artifact to {least:g} dB; {place} it agrees to {one.psnr_db:.1f} dB "
                f"with {runtime}. It is not kept: take another runtime, or other settings of quantize."
            )


def _real_pictures(size: tuple[int, int], multiple: int, least: int) -> list[Tensor]:
    """Shipped photographs cut to three sizes: the asked one, a small one, and one that is no multiple of anything."""
    small = fitting_size((8 * multiple, 12 * multiple), multiple, least)
    photographs = [to_tensor(load_photo(path))[None] for path in list_pictures(FOLDER / "val")[:3]]
    sizes = (size, small, _ODD_SIZE)
    return [photo[..., :height, :width].clone() for photo, (height, width) in zip(photographs, sizes, strict=True)]


def _in_fresh_process(path: Path, pictures: Sequence[Tensor]) -> tuple[list[Tensor], tuple[int, int] | None]:
    """The outputs, and the file's fixed size if it has one; a UserError if it cannot be opened or run there."""
    with tempfile.TemporaryDirectory() as work:
        given, answer = f"{work}/given.safetensors", f"{work}/answer.safetensors"
        save_file({str(i): picture.contiguous() for i, picture in enumerate(pictures)}, given)
        done = subprocess.run(
            # -P: what lies in the working folder is not run.
            [sys.executable, "-P", "-m", "compress.deployable", str(path.resolve()), given, answer],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent.parent), *sys.path[1:]])},
        )
        if done.returncode != 0:
            died = f"killed by signal {-done.returncode}" if done.returncode < 0 else f"exit code {done.returncode}"
            said = (done.stderr.strip() or died).splitlines()[-1]
            raise UserError(f"{path.name} must open and run in a fresh process; it says: {said}. Take another runtime.")
        outputs = load_file(answer)
    height, width = outputs[_FIXED_SIZE].tolist()
    return [outputs[str(i)] for i in range(len(pictures))], (height, width) if height else None


def _answer(path: Path, given: Path, answer: Path) -> None:
    """What the fresh process does."""
    restorer = open_deployable(path)
    pictures = load_file(given)
    outputs = {name: restore_any_size(restorer, picture).contiguous() for name, picture in pictures.items()}
    save_file(outputs | {_FIXED_SIZE: torch.tensor(restorer.fixed_size or (0, 0))}, answer)


if __name__ == "__main__":
    _answer(*(Path(argument) for argument in sys.argv[1:]))
