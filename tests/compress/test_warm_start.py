from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from baseline.data.loader import Batch
from baseline.errors import UserError
from baseline.networks.zoo import build
from baseline.restorer import outputs_of
from compress.warm_start import warm_start_

Tiny = Callable[..., nn.Module]
Crops = list[Tensor]


@pytest.fixture
def batches(crops: Crops) -> list[Batch]:
    return [Batch(crops[0], crops[0])]


def same(one: nn.Module, other: nn.Module, image: Tensor) -> bool:
    pairs = zip(outputs_of(one, image), outputs_of(other, image), strict=True)
    return all(torch.allclose(a, b, atol=1e-4) for a, b in pairs)


@pytest.mark.parametrize("conv", ["plain", "branched"])
def test_a_student_of_the_teachers_shape_begins_as_the_teacher(
    conv: str, tiny: Tiny, batches: list[Batch], crops: Crops
) -> None:
    student, teacher = tiny(conv=conv, seed=1), tiny()
    assert not same(student, teacher, crops[0])
    report = warm_start_(student, teacher, batches)
    assert report.anew == {}
    assert same(student, teacher, crops[0])


def test_a_narrower_student_begins_as_the_teacher_without_what_does_nothing(
    tiny: Tiny, batches: list[Batch], crops: Crops
) -> None:
    teacher, student = tiny(width=12), tiny(width=8, seed=1)
    # A third of the channels of every layer does nothing: nobody reads them, since what reads weighs them with zero.
    with torch.no_grad():
        for group in _groups(teacher):
            for layer, kept in group:
                layer[kept:] = 0
    warm_start_(student, teacher, batches)
    assert same(student, teacher, crops[0])


def _groups(teacher: nn.Module) -> list[list[tuple[Tensor, int]]]:
    """Of every layer that gives features: its weights and bias, and how many channels the narrower network has."""
    narrow = dict(build("mimo-unet", {"width": 8, "num_blocks": 1}).named_modules())
    groups = []
    for name, layer in teacher.named_modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            kept = narrow[name].out_channels
            weight = layer.weight.transpose(0, 1) if isinstance(layer, nn.ConvTranspose2d) else layer.weight
            groups.append([(weight, kept), *([] if layer.bias is None else [(layer.bias, kept)])])
    return groups


def test_the_teacher_stays_as_it_was(tiny: Tiny, batches: list[Batch], crops: Crops) -> None:
    teacher, before = tiny(width=12), tiny(width=12)
    teacher.requires_grad_(False)
    warm_start_(tiny(), teacher, batches)
    assert same(teacher, before, crops[0])
    assert not any(parameter.requires_grad for parameter in teacher.parameters())


def test_fewer_blocks_begin_as_evenly_chosen_ones(tiny: Tiny, batches: list[Batch]) -> None:
    teacher, student = tiny(num_blocks=5), tiny(num_blocks=3, seed=1)
    warm_start_(student, teacher, batches)
    for own, its in ((0, 0), (1, 2), (2, 4)):
        assert torch.equal(student.decoder[1][own].conv2.weight, teacher.decoder[1][its].conv2.weight)


def test_separable_convolutions_begin_near_the_teachers(tiny: Tiny, batches: list[Batch]) -> None:
    student = tiny(conv="separable", seed=1)
    report = warm_start_(student, tiny(), batches)
    assert {"encoder.0.0.conv1", "head", "up.0"} <= set(report.copied)
    assert torch.equal(student.head.weight, tiny().head.weight)


def test_what_the_teacher_has_not_begins_anew_and_is_named(tiny: Tiny, batches: list[Batch]) -> None:
    student = tiny(num_blocks=2, seed=1)
    report = warm_start_(student, tiny(), batches)
    assert report.anew["encoder.0.1.conv1"] == "the teacher has no such layer"
    assert "encoder.0.0.conv1" in report.copied
    other = build("mimo-unet-attention", {"width": 8, "num_blocks": 1})
    reason = warm_start_(other, tiny(), batches).anew["attention.0.merge"]
    its = "{'weight': (16, 16, 3, 3), 'bias': (16,)}"
    assert reason == f"its shapes are {{'weight': (16, 32, 1, 1), 'bias': (16,)}}; the teacher's are {its}"


def test_a_student_of_another_kind_is_refused(tiny: Tiny, batches: list[Batch]) -> None:
    student = build("unet", {"width": 4, "num_blocks": 1})
    with pytest.raises(UserError, match=r"warm_start must find a layer that the teacher has, too, .*; it found none\."):
        warm_start_(student, tiny(), batches)
