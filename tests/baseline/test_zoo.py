from collections.abc import Callable

import pytest
import torch

from baseline.errors import UserError
from baseline.networks.zoo import build
from baseline.registry import Registry
from baseline.user_code import allowing

MODULE = """
from torch import nn

def make(channels=4):
    return nn.Sequential(nn.Conv2d(3, channels, 3, padding=1), nn.ReLU(), nn.Conv2d(channels, 3, 3, padding=1))

number = 5

def none(channels=4):
    return channels

def narrow(channels=4):
    raise ValueError("too narrow\\nby far")

def leaves(channels=4):
    raise SystemExit(3)

def forgets_to_call():
    return nn.Conv2d

def lazy():
    return nn.LazyConv2d(3, 3)
"""


@pytest.fixture
def users_module(importable: Callable[[str, str], str]) -> str:
    return importable("users_zoo", MODULE)


def test_a_users_factory_is_built_with_its_arguments(users_module: str) -> None:
    network = build(f"{users_module}:make", {"channels": 5})
    assert network(torch.rand(1, 3, 8, 8)).shape == (1, 3, 8, 8)
    assert network[0].out_channels == 5


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("no_such_module:make", "No module named 'no_such_module'. Start lightsharp from the folder"),
        ("users_zoo:mke", "has no attribute 'mke'"),
        ("users_zoo:number", "must name a function or class; it is a int"),
        (":make", "must be package.module:factory, such as my_networks.small:make"),
        (".users_zoo:make", "must be package.module:factory"),
        ("builtins:int", "must name a function whose arguments Python can tell"),
        (
            "mimo-unte",
            "no network 'mimo-unte'. Did you mean 'mimo-unet'? "
            "Known: edge, mimo-unet, mimo-unet-attention, mimo-unet-plus, nafnet, unet.",
        ),
    ],
)
def test_a_network_that_cannot_be_found_says_why(users_module: str, name: str, said: str) -> None:
    with allowing(["no_such_module", "builtins"]):
        _says_why(name, said)


def _says_why(name: str, said: str) -> None:
    with pytest.raises(UserError, match="network") as error:
        build(name, {})
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("def (", "SyntaxError: invalid syntax"),
        ("undefined", "NameError: name 'undefined' is not defined"),
        ("raise SystemExit('bye')", "SystemExit: bye"),
    ],
)
def test_a_module_that_fails_is_quoted_in_one_line(
    content: str, said: str, importable: Callable[[str, str], str]
) -> None:
    importable("users_wrong", content)
    with pytest.raises(UserError, match="must be in a module that can be imported; users_wrong fails with") as error:
        build("users_wrong:make", {})
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        (
            "make",
            {"channels": "many"},
            "must be made by its factory from {'channels': 'many'}; it fails with TypeError: ",
        ),
        (
            "narrow",
            {},
            "must be made by its factory from no arguments; it fails with ValueError: too narrow. Change the "
            "arguments, or the factory.",
        ),
        ("leaves", {}, "must be made by its factory from no arguments; it fails with SystemExit: 3."),
        ("none", {}, "must make a torch.nn.Module; it made a int."),
        ("forgets_to_call", {}, "must make a torch.nn.Module; it made the class Conv2d."),
        ("lazy", {}, "must know the sizes of its weights; weight does not. State the layer's input channels"),
    ],
)
def test_a_factory_that_fails_is_quoted_in_one_line(
    users_module: str, name: str, arguments: dict[str, str], said: str
) -> None:
    with pytest.raises(UserError) as error:
        build(f"{users_module}:{name}", arguments)
    assert str(error.value).startswith(f"network '{users_module}:{name}' {said}")
    assert "\n" not in str(error.value)


def test_a_name_is_registered_once() -> None:
    table: Registry[int] = Registry("number")
    table.register("one")(1)
    with pytest.raises(ValueError, match="number 'one' is registered twice"):
        table.register("one")(2)
    with pytest.raises(UserError, match=r"^no number 'xyzzy'\. Known: one\.$"):
        table["xyzzy"]
