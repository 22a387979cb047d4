"""Students by name: which network a teacher teaches, and for what. Listing them does not import torch."""

from collections.abc import Callable
from typing import Any

from baseline.networks.zoo import NETWORKS, check_arguments, default_arguments
from baseline.registry import Registry

Plan = tuple[str, dict[str, Any]]
"""An architecture and its arguments."""

STUDENTS: Registry[Callable[[Plan], Plan]] = Registry("student")
"""Each takes the teacher's architecture and arguments and gives the student's; its first line says what it is for."""

_NARROW = 0.85
"""The share of the teacher's width that removes about a quarter of its parameters."""
_SLIM = 0.44
"""The share that removes four fifths of them."""


def student_plan(name: str, teacher: Plan, overrides: dict[str, Any]) -> Plan:
    """The student's architecture and arguments, sized after its teacher unless overridden; or your own network."""
    architecture, arguments = (name, {}) if ":" in name else STUDENTS[name](teacher)
    check_arguments(architecture, arguments | overrides)
    return architecture, arguments | overrides


@STUDENTS.register("mimo-unet-narrow")
def narrow(teacher: Plan) -> Plan:
    """The nearest to the teacher: MIMO-UNet of 85% of its width, a quarter fewer parameters."""
    return _mimo_unet(teacher, _NARROW)


@STUDENTS.register("mimo-unet-slim")
def slim(teacher: Plan) -> Plan:
    """Small all round: MIMO-UNet of 44% of the teacher's width, a fifth of its parameters and MACs."""
    return _mimo_unet(teacher, _SLIM)


@STUDENTS.register("mimo-unet-shallow")
def shallow(teacher: Plan) -> Plan:
    """Low latency on wide machines: MIMO-UNet of the teacher's width and half its blocks."""
    return _mimo_unet(teacher, depth=0.5)


@STUDENTS.register("mimo-unet-branched")
def branched(teacher: Plan) -> Plan:
    """As mimo-unet-slim, each 3x3 convolution trained as the sum of branches, and folded to one when it is done."""
    return _mimo_unet(teacher, _SLIM, conv="branched")


@STUDENTS.register("mimo-unet-ds")
def depthwise_separable(teacher: Plan) -> Plan:
    """Few parameters at the teacher's width and depth: 3x3 convolutions depthwise-separable; INT8 gains little."""
    return _mimo_unet(teacher, conv="separable")


@STUDENTS.register("mimo-unet-ds-shallow")
def depthwise_separable_and_shallow(teacher: Plan) -> Plan:
    """As mimo-unet-ds with half the blocks: for a low latency in float."""
    return _mimo_unet(teacher, depth=0.5, conv="separable")


@STUDENTS.register("mimo-unet-ds-slim")
def depthwise_separable_and_slim(teacher: Plan) -> Plan:
    """As mimo-unet-ds of 44% of the width: for the smallest files."""
    return _mimo_unet(teacher, _SLIM, conv="separable")


@STUDENTS.register("edge")
def edge(_teacher: Plan) -> Plan:
    """For INT8 on phones and CPUs: nothing that integers cannot do, branches folded after training; not MIMO-UNet."""
    return "edge", {"conv": "branched"}


@STUDENTS.register("nafnet")
def nafnet(teacher: Plan) -> Plan:
    """For GPUs: NAFNet of the teacher's width and three quarters of its blocks, gates in place of activations."""
    return "nafnet", _sized(teacher, 1.0, 0.75)


def _mimo_unet(teacher: Plan, width: float = 1.0, depth: float = 1.0, conv: str = "plain") -> Plan:
    return "mimo-unet", _sized(teacher, width, depth) | {"conv": conv}


def _sized(teacher: Plan, width: float, depth: float) -> dict[str, Any]:
    """Shares of the teacher's width and blocks, before any pruning.

    Of a teacher that states no width or blocks, those of the standard MIMO-UNet are shared.
    """
    architecture, arguments = teacher
    defaults = default_arguments(architecture if architecture in NETWORKS else "mimo-unet")
    sized = {key: arguments.get(key, defaults[key]) for key in ("width", "num_blocks")}
    return {"width": round(width * sized["width"]), "num_blocks": max(1, round(depth * sized["num_blocks"]))}
