"""Networks by name. Listing them does not import torch: each entry imports what it builds."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from baseline.errors import UserError
from baseline.networks.user_networks import Factory, allowed_factory, is_users, known_factory, made_by
from baseline.registry import Registry
from baseline.user_code import check_name

if TYPE_CHECKING:
    from torch import nn

Width = Annotated[int, Field(ge=4)]
WidthWithEighth = Annotated[int, Field(ge=4, multiple_of=4)]
"""A width whose double, the narrowest that channel attention sees, has an eighth."""
WidthOfEights = Annotated[int, Field(ge=8, multiple_of=8)]
Blocks = Annotated[int, Field(ge=1)]
Conv = Literal["plain", "separable", "branched"]

NETWORKS: Registry[Factory] = Registry("network")


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
    """A UserError if the network does not take these keyword arguments, or is code that is not allowed."""
    if is_users(architecture) and _by_name_alone.get():
        check_name(architecture)
    else:
        _check_accepted(_factory(architecture, arguments), architecture, arguments)


def _factory(architecture: str, arguments: dict[str, Any]) -> Factory:
    return allowed_factory(architecture, arguments) if is_users(architecture) else NETWORKS[architecture]


def _check_accepted(factory: Factory, architecture: str, arguments: dict[str, Any]) -> None:
    accepted = inspect.signature(factory).parameters
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
    """A registered network's arguments where none are given."""
    parameters = inspect.signature(NETWORKS[architecture]).parameters
    return {name: p.default for name, p in parameters.items() if p.default is not inspect.Parameter.empty}


def _check_value(architecture: str, name: str, value: Any, annotation: str) -> None:
    """A UserError if a registered network's argument is not of the type and range that its signature states."""
    try:
        TypeAdapter(globals()[annotation]).validate_python(value, strict=True)
    except ValidationError as error:
        message = error.errors()[0]["msg"]
        raise UserError(f"network '{architecture}' must be given a right {name}; got {value!r}: {message}.") from None


def build(architecture: str, arguments: dict[str, Any]) -> nn.Module:
    """A new network with random weights; a UserError if it is code that is not allowed, or fails."""
    return _built(_factory(architecture, arguments), architecture, arguments)


def build_another(architecture: str, arguments: dict[str, Any]) -> nn.Module:
    """A new network of the kind of one that is in memory: its code has run, and is not asked for again."""
    known = known_factory(architecture) if is_users(architecture) else NETWORKS[architecture]
    return _built(known, architecture, arguments)


def _built(factory: Factory, architecture: str, arguments: dict[str, Any]) -> nn.Module:
    _check_accepted(factory, architecture, arguments)
    return made_by(factory, architecture, arguments) if is_users(architecture) else factory(**arguments)
