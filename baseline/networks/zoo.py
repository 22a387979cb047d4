"""Networks by name. Listing them does not import torch: each entry imports what it builds."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from baseline.errors import UserError, named_line
from baseline.registry import Registry

if TYPE_CHECKING:
    from torch import nn

Width = Annotated[int, Field(ge=4)]
WidthWithEighth = Annotated[int, Field(ge=4, multiple_of=4)]
"""A width whose double, the narrowest that channel attention sees, has an eighth."""
WidthOfEights = Annotated[int, Field(ge=8, multiple_of=8)]
Blocks = Annotated[int, Field(ge=1)]
Conv = Literal["plain", "separable", "branched"]

NETWORKS: Registry[Callable[..., nn.Module]] = Registry("network")


@NETWORKS.register("mimo-unet")
def mimo_unet(width: Width = 32, num_blocks: Blocks = 8, conv: Conv = "plain") -> nn.Module:
    """MIMO-UNet: three scales in, three scales out (ICCV 2021); any width and number of residual blocks."""
    from baseline.networks.mimo_unet import MIMOUNet

    return MIMOUNet(width, num_blocks, conv)


@NETWORKS.register("mimo-unet-plus")
def mimo_unet_plus(width: Width = 32, num_blocks: Blocks = 20, conv: Conv = "plain") -> nn.Module:
    """MIMO-UNet+: the deeper one, with channel dropout on the fused features."""
    from baseline.networks.mimo_unet import MIMOUNet

    return MIMOUNet(width, num_blocks, conv, dropout=0.1)


@NETWORKS.register("mimo-unet-attention")
def mimo_unet_attention(width: WidthWithEighth = 32, num_blocks: Blocks = 8, conv: Conv = "plain") -> nn.Module:
    """MIMO-UNet with two plain convolutions for each input image and channel attention where features join."""
    from baseline.networks.mimo_unet_attention import AttentionMIMOUNet

    return AttentionMIMOUNet(width, num_blocks, conv)


@NETWORKS.register("unet")
def unet(width: Width = 39, num_blocks: Blocks = 7) -> nn.Module:
    """The classic U-Net: one scale in and out, skips concatenated; by default of the MACs of MIMO-UNet."""
    from baseline.networks.unet import UNet

    return UNet(width, num_blocks)


@NETWORKS.register("edge")
def edge(width: WidthOfEights = 16, num_blocks: Blocks = 2, conv: Conv = "branched") -> nn.Module:
    """For INT8 on phones and CPUs: 3x3 convolutions, ReLU and pixel shuffles from half scale on, one scale out."""
    from baseline.networks.edge import EdgeNet

    return EdgeNet(width, num_blocks, conv)


@NETWORKS.register("nafnet")
def nafnet(width: Width = 32, num_blocks: Blocks = 8) -> nn.Module:
    """NAFNet: gates in place of activations (ECCV 2022), one scale in and out; a quarter of MIMO-UNet's MACs."""
    from baseline.networks.nafnet import NAFNet

    return NAFNet(width, num_blocks)


def factory_of(architecture: str) -> Callable[..., nn.Module]:
    """The function behind a registered name or a user's own `package.module:factory`."""
    if ":" not in architecture:
        return NETWORKS[architecture]
    module_name, _, name = architecture.partition(":")
    if "" not in sys.path:
        sys.path.insert(0, "")
    if not all(part.isidentifier() for part in (*module_name.split("."), name)):
        raise UserError(f"network '{architecture}' must be package.module:factory, such as my_networks.small:make.")
    try:
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
    made: Callable[..., nn.Module] = factory
    return made


def own_source(architecture: str) -> Path | None:
    """The file of a user's own network; None for a registered one or one without a source file."""
    if ":" not in architecture:
        return None
    factory = inspect.unwrap(factory_of(architecture))
    try:
        file = inspect.getsourcefile(factory)
    except TypeError:  # an object that is called
        file = None
    if file is None or not Path(file).is_file():  # made by exec, say: the module that holds it is the next best
        file = getattr(sys.modules[architecture.partition(":")[0]], "__file__", None)
    return Path(file) if file is not None and Path(file).is_file() else None


_by_name_alone: ContextVar[bool] = ContextVar("by_name_alone", default=False)


@contextmanager
def by_name_alone() -> Iterator[None]:
    """Within it users' own networks are not imported: what a run left is read also where their package is not."""
    before = _by_name_alone.set(True)
    try:
        yield
    finally:
        _by_name_alone.reset(before)


def check_arguments(architecture: str, arguments: dict[str, Any]) -> None:
    """A UserError if the network does not take these keyword arguments."""
    if ":" in architecture and _by_name_alone.get():
        return
    accepted = inspect.signature(factory_of(architecture)).parameters
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in accepted.values()):
        return
    for name, value in arguments.items():
        if name in accepted and architecture in NETWORKS:
            _check_value(architecture, name, value, accepted[name].annotation)
        if name not in accepted:
            raise UserError(
                f"network '{architecture}' must be given arguments that it has; '{name}' is none. "
                f"It takes: {', '.join(accepted) or 'none'}."
            )


def default_arguments(architecture: str) -> dict[str, Any]:
    """The network's arguments where none are given."""
    parameters = inspect.signature(factory_of(architecture)).parameters
    return {name: p.default for name, p in parameters.items() if p.default is not inspect.Parameter.empty}


def _check_value(architecture: str, name: str, value: Any, annotation: str) -> None:
    """A UserError if a registered network's argument is not of the type and range that its signature states."""
    try:
        TypeAdapter(globals()[annotation]).validate_python(value, strict=True)
    except ValidationError as error:
        message = error.errors()[0]["msg"]
        raise UserError(f"network '{architecture}' must be given a right {name}; got {value!r}: {message}.") from None


def build(architecture: str, arguments: dict[str, Any]) -> nn.Module:
    """A new network with random weights; a UserError with the words of a user's own factory if it fails."""
    check_arguments(architecture, arguments)
    factory = factory_of(architecture)
    if architecture in NETWORKS:
        return factory(**arguments)
    try:
        made = factory(**arguments)
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        raise UserError(
            f"network '{architecture}' must be made by its factory from {arguments or 'no arguments'}; it fails with "
            f"{named_line(error)}. Change the arguments, or the factory."
        ) from error
    if isinstance(made, type) or not callable(getattr(made, "named_parameters", None)):
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
