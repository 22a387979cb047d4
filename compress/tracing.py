"""Networks traced by torch.export for images of any size that fits; what cannot be traced is one line that says why."""

import re
import traceback
from typing import Any

import torch
from torch import SymInt, Tensor, nn
from torch.fx import GraphModule
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode
from torch.overrides import TorchFunctionMode

from baseline.errors import UserError, first_line
from baseline.restorer import min_size_of, size_multiple_of
from compress.quiet import quiet


def traced(network: nn.Module, example: Tensor, shapes: Any) -> GraphModule:
    """The network's operators; a UserError if they depend on values, or on the size as no file can follow."""
    try:
        with quiet(), _AnySize():
            module = torch.export.export(network, (example,), dynamic_shapes=shapes).module()
            if not isinstance(module, GraphModule):
                raise TypeError(f"torch.export gave a {type(module).__name__}")
            _check_guards(module, network, example)
            return module
    except UserError:
        raise
    except GuardOnDataDependentSymNode as error:
        raise UserError(
            f"the network must run the same layers for every image; {_place(error)} it chooses by a value that it "
            "computes. Compute both and choose by torch.where, or leave one out."
        ) from error
    except Exception as error:  # whatever torch.export raises
        raise UserError(_why(error, network, example)) from error


def _check_guards(module: GraphModule, network: nn.Module, example: Tensor) -> None:
    """An AssertionError if torch.export found out that the operators hold for some of the sizes only."""
    guards = getattr(module, "_guards_fn", None)
    multiple, least = size_multiple_of(network), min_size_of(network)
    sides = [least + step * multiple for step in (0, 1, 2, 3, 5)]
    for height, width in zip(sides, reversed(sides), strict=True):
        if guards is not None:
            guards(torch.empty(len(example), 3, height, width, device="meta"))


def _why(error: Exception, network: nn.Module, example: Tensor) -> str:
    multiple, least = size_multiple_of(network), min_size_of(network)
    sizes = f"for sides that are multiples of {multiple} from {least} on"
    if "Constraints violated" not in str(error) and "Guard failed" not in str(error):
        return f"torch.export must be able to trace the network {sizes}; it says: {first_line(error)}. Change it."
    if "specialized it to be a constant" in str(error):
        return (
            f"the network must take images of any size {sizes}; it computes something that holds for "
            f"{example.shape[-2]}x{example.shape[-1]} only. Take sides from the input's shape, without numpy or "
            "int(), or set size_multiple."
        )
    return (
        f"the network must compute the same {sizes}; what it does inside changes with the size. Set its size_multiple "
        "to what sides must be multiples of, such as 8 or 16, and its min_size to the least side."
    )


def _place(error: Exception) -> str:
    """Where in the user's code it happened."""
    said = re.search(r'File "([^"]+)", line (\d+), in \w+\s+(.+)', str(error).rpartition("raised this error")[2])
    if said:
        return f"at {said[1]}:{said[2]}, '{said[3].strip()}',"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/torch/" not in frame.filename]
    return f"at {frames[-1].filename}:{frames[-1].lineno}," if frames else "somewhere"


class _AnySize(TorchFunctionMode):
    """Rows of evenly spaced numbers as they follow from their count: torch.export takes a `linspace` for a constant."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func is not torch.linspace:
            return func(*args, **kwargs)
        given = dict(zip(("start", "end", "steps"), args, strict=False)) | kwargs
        if not isinstance(given.get("steps"), SymInt) or given.get("out") is not None:
            return func(*args, **kwargs)
        start, end, steps = given.pop("start"), given.pop("end"), given.pop("steps")
        given.setdefault("dtype", torch.get_default_dtype())
        return start + torch.arange(steps, **given) * ((end - start) / (steps - 1))
