"""Networks of users, `package.module:factory`: imported and built here alone, and only where that is allowed."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from baseline.errors import UserError, named_line
from baseline.user_code import check_name, require, require_origin, working_folder

if TYPE_CHECKING:
    from torch import nn

Factory = Callable[..., "nn.Module"]


def is_users(architecture: str) -> bool:
    """Whether a network is none of ours by its name."""
    return ":" in architecture


def allowed_factory(architecture: str, arguments: dict[str, Any]) -> Factory:
    """The factory, to be called with these arguments; a NotAllowedError before anything is imported."""
    require(architecture, arguments)
    factory = known_factory(architecture)
    require_origin(architecture, factory, arguments)
    return factory


def known_factory(architecture: str) -> Factory:
    """The factory of a network that is in memory, or allowed; a UserError if it cannot be imported or is none."""
    check_name(architecture)
    module_name, _, name = architecture.partition(":")
    try:
        with working_folder():
            factory = getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError) as error:
        raise UserError(
            f"network '{architecture}' must name an importable package.module:factory; {error}. "
            "Start lightsharp from the folder that holds the package, or install it."
        ) from None
    except (Exception, SystemExit) as error:
        raise UserError(
            f"network '{architecture}' must be in a module that can be imported; {module_name} fails with "
            f"{named_line(error)}. Mend the module."
        ) from error
    if not callable(factory):
        raise UserError(f"network '{architecture}' must name a function or class; it is a {type(factory).__name__}.")
    try:
        inspect.signature(factory)
    except ValueError:
        raise UserError(f"network '{architecture}' must name a function whose arguments Python can tell.") from None
    made: Factory = factory
    return made


def made_by(factory: Factory, architecture: str, arguments: dict[str, Any]) -> nn.Module:
    """What a factory makes; a UserError with its words if it fails, and for anything but a network that can be kept."""
    from torch import nn

    try:
        with working_folder():
            made = factory(**arguments)
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        raise UserError(
            f"network '{architecture}' must be made by its factory from {arguments or 'no arguments'}; it fails with "
            f"{named_line(error)}. Change the arguments, or the factory."
        ) from error
    if not isinstance(made, nn.Module):
        kind = f"the class {made.__name__}" if isinstance(made, type) else f"a {type(made).__name__}"
        raise UserError(f"network '{architecture}' must make a torch.nn.Module; it made {kind}.")
    _must_have_sizes(architecture, made)
    return made


def _must_have_sizes(architecture: str, network: nn.Module) -> None:
    """A UserError if a layer waits for its first picture to know the size of its weights."""
    from torch.nn.parameter import is_lazy

    lazy = [name for name, parameter in network.named_parameters() if is_lazy(parameter)]
    if lazy:
        raise UserError(
            f"network '{architecture}' must know the sizes of its weights; {lazy[0]} does not. "
            "State the layer's input channels, or run it once in the factory."
        )
