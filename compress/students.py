"""Students by name: which network a teacher teaches. Listing them does not import torch."""

from collections.abc import Callable
from typing import Any

from baseline.networks.zoo import NETWORKS, check_arguments, default_arguments
from baseline.registry import Registry

Plan = tuple[str, dict[str, Any]]
"""An architecture and its arguments."""

STUDENTS: Registry[Callable[[Plan], Plan]] = Registry("student")
"""Each takes the teacher's architecture and arguments and gives the student's."""

_NARROW = 0.85
"""The share of the teacher's width that removes about a quarter of its parameters."""
_SLIM = 0.44
"""The share that removes four fifths of them."""


def student_plan(name: str, teacher: Plan, overrides: dict[str, Any]) -> Plan:
    """The student's architecture and arguments, sized after its teacher unless overridden; or your own network."""
    if ":" in name:
        return name, overrides
    architecture, arguments = STUDENTS[name](teacher)
    check_arguments(architecture, arguments | overrides)
    return architecture, arguments | overrides


@STUDENTS.register("mimo-unet-ds")
def depthwise_separable(teacher: Plan) -> Plan:
    """MIMO-UNet of the teacher's width and depth, its 3x3 convolutions depthwise-separable: few parameters."""
    return "mimo-unet", _width_and_depth(teacher) | {"conv": "separable"}


@STUDENTS.register("mimo-unet-narrow")
def narrow(teacher: Plan) -> Plan:
    """MIMO-UNet of 85% of the teacher's width and the same depth: plain convolutions, which INT8 speeds up most."""
    return _plain(teacher, _NARROW)


@STUDENTS.register("mimo-unet-slim")
def slim(teacher: Plan) -> Plan:
    """MIMO-UNet of 44% of the teacher's width and the same depth: a fifth of its parameters and MACs."""
    return _plain(teacher, _SLIM)


def _plain(teacher: Plan, share: float) -> Plan:
    """MIMO-UNet of a share of the teacher's width."""
    arguments = _width_and_depth(teacher)
    return "mimo-unet", arguments | {"width": round(share * arguments["width"])}


def _width_and_depth(teacher: Plan) -> dict[str, Any]:
    """The teacher's width and depth before any pruning; of a network that has none, those of the standard MIMO-UNet."""
    architecture, arguments = teacher
    sized_like = architecture if architecture in NETWORKS else "mimo-unet"
    defaults = default_arguments(sized_like)
    return {key: arguments.get(key, defaults[key]) for key in ("width", "num_blocks")}
