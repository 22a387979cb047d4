"""The checkpoints of the authors of MIMO-UNet: `{'model': state_dict}` in a `.pkl`, read strictly and written back."""

import pickle
import re
import struct
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from baseline.artifact import Artifact
from baseline.atomic import whole_file
from baseline.channel_plan import channel_plan
from baseline.errors import UserError, unknown_name
from baseline.networks.zoo import build, build_another
from baseline.original_names import from_original, to_original

ORIGINALS = ("mimo-unet", "mimo-unet-plus")
"""The networks that the authors trained, by our names."""

_UNREADABLE = (
    *(pickle.UnpicklingError, struct.error, EOFError, RuntimeError, AssertionError),
    *(ValueError, LookupError, AttributeError, TypeError),
)
"""What torch.load raises for files that torch did not write, or that hold more than tensors and plain containers."""


def import_original(path: Path, architecture: str, arguments: dict[str, Any]) -> nn.Module:
    """The network with the weights of an original checkpoint, in eval mode.

    A UserError if the file holds anything else than exactly the tensors of this network, all finite.
    """
    if architecture not in ORIGINALS:
        raise unknown_name("network with original weights", architecture, ORIGINALS)
    network = build(architecture, arguments)
    state = _read(path)
    _check(path, architecture, state, to_original(network.state_dict()))
    network.load_state_dict(from_original(state))
    return network.eval()


def export_original(artifact: Artifact, path: Path) -> None:
    """Write a checkpoint that the authors' code reads; it appears whole or not at all.

    A UserError for a network that is not of its kind.
    """
    if artifact.architecture not in ORIGINALS:
        what = f"it is '{artifact.architecture}'"
    elif (conv := artifact.arguments.get("conv", "plain")) != "plain":
        what = f"its convolutions are {conv}"
    elif pruned := channel_plan(artifact.network, build_another(artifact.architecture, artifact.arguments)):
        what = f"it is pruned, {len(pruned)} layers are smaller"
    else:
        _save({"model": to_original(artifact.network.state_dict())}, path)
        return
    raise UserError(
        f"the original layout must be given {' or '.join(ORIGINALS)}, of plain convolutions and not pruned; {what}. "
        "Export it as pt2, or keep the artifact."
    )


def _save(content: dict[str, Any], path: Path) -> None:
    with whole_file(path) as beside, beside.open("wb") as file:
        torch.save(content, file)


def _read(path: Path) -> dict[str, Tensor]:
    """The tensors of `{'model': state_dict}` by name, without the prefix that DataParallel puts before each."""
    if not path.is_file():
        raise UserError(f"{path} must be the file of a checkpoint; there is none.")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except _UNREADABLE as error:
        unsafe = re.search(r"GLOBAL (\S+)", str(error))
        what = f"it holds a {unsafe[1]}, which could run code" if unsafe else "it is damaged or another kind of file"
        raise _foreign(path, what) from None
    if not isinstance(content, dict) or not isinstance(content.get("model"), dict):
        raise _foreign(path, f"it holds a {type(content).__name__} without such a 'model'")
    if len(content) > 1:
        raise _foreign(path, f"it also holds {', '.join(sorted(repr(key) for key in content if key != 'model'))}")
    state = content["model"]
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise _foreign(path, f"its {name!r} is a {type(value).__name__}")
    if all(name.startswith("module.") for name in state):
        return {name.removeprefix("module."): tensor for name, tensor in state.items()}
    return dict(state)


def _check(path: Path, architecture: str, state: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """A UserError unless the state has the expected names, shapes and number format, and finite values."""
    wrong = [f"it has no {name}" for name in expected if name not in state]
    wrong += [f"it has {name}" for name in state if name not in expected]
    for name in (name for name in expected if name in state):
        tensor, shape = state[name], list(expected[name].shape)
        if list(tensor.shape) != shape:
            wrong.append(f"{name} has shape {list(tensor.shape)} instead of {shape}")
        elif tensor.dtype != torch.float32:
            wrong.append(f"{name} is {tensor.dtype} instead of torch.float32")
        elif not tensor.isfinite().all():
            wrong.append(f"{name} holds values that are not finite")
    if wrong:
        more = f" (and {len(wrong) - 1} more faults)" if len(wrong) > 1 else ""
        raise UserError(
            f"{path} must hold exactly the weights of the original {architecture}; {wrong[0]}{more}. "
            f"Check --network ({' or '.join(ORIGINALS)}) and the file."
        )


def _foreign(path: Path, what: str) -> UserError:
    return UserError(
        f"{path} must be {{'model': state_dict}} as torch.save writes it, tensors and nothing else; {what}. "
        "Check that it is an original checkpoint."
    )
