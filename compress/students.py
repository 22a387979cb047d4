"""Students by name: which network a teacher teaches. Listing them does not import torch."""

from collections.abc import Callable
from typing import Any

from baseline.registry import Registry

Plan = tuple[str, dict[str, Any]]
"""An architecture and its arguments."""

STUDENTS: Registry[Callable[[dict[str, Any]], Plan]] = Registry("student")

_NARROW = 0.85
"""The share of the teacher's width that removes about a quarter of its parameters."""


def student_plan(name: str, teacher_arguments: dict[str, Any], overrides: dict[str, Any]) -> Plan:
    """The student's architecture and arguments, sized after its teacher unless overridden; or your own network."""
    if ":" in name:
        return name, overrides
    architecture, arguments = STUDENTS[name](teacher_arguments)
    return architecture, arguments | overrides


@STUDENTS.register("mimo-unet-ds")
def depthwise_separable(teacher: dict[str, Any]) -> Plan:
    """MIMO-UNet of the teacher's width and depth, its 3x3 convolutions depthwise-separable: few parameters."""
    return "mimo-unet", _width_and_depth(teacher) | {"conv": "separable"}


@STUDENTS.register("mimo-unet-narrow")
def narrow(teacher: dict[str, Any]) -> Plan:
    """MIMO-UNet of 85% of the teacher's width and the same depth: plain convolutions, which INT8 speeds up most."""
    arguments = _width_and_depth(teacher)
    return "mimo-unet", arguments | {"width": round(_NARROW * arguments["width"])}


def _width_and_depth(teacher: dict[str, Any]) -> dict[str, Any]:
    standard = {"width": 32, "num_blocks": 8}
    return {key: teacher.get(key, value) for key, value in standard.items()}
