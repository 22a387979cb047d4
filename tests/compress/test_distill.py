from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from baseline.data.loader import Batch
from baseline.errors import UserError
from baseline.losses import supervised
from baseline.networks.zoo import build
from baseline.restorer import outputs_of
from baseline.settings import LossSettings
from compress.cost import parameters
from compress.distill import distillation
from compress.features import Adapted
from compress.lessons import Teacher
from compress.students import STUDENTS, student_plan
from compress.teaching_settings import DistillSettings, TaughtSettings


class Adds(nn.Module):
    """Outputs that are the input plus a number, at one scale or, by nearest neighbour, at three."""

    def __init__(self, number: float, scales: int) -> None:
        super().__init__()
        self.number = number
        self.scales = scales

    def forward(self, image: Tensor) -> list[Tensor] | Tensor:
        outputs = [image[..., :: 2**i, :: 2**i] + self.number for i in reversed(range(self.scales))]
        return outputs if self.scales > 1 else outputs[0]


def test_a_student_equal_to_its_teacher_has_nothing_to_learn_from_it(tiny: Callable[..., nn.Module]) -> None:
    image = torch.rand(1, 3, 16, 16)
    batch = Batch(image, torch.rand(1, 3, 16, 16))
    terms = distillation(Teacher(tiny()), TaughtSettings(steps=1))(tiny()(image), batch)
    assert set(terms) == {"l1", "frequency", "teacher_l1", "teacher_frequency"}
    assert max(terms["teacher_l1"].item(), terms["teacher_frequency"].item()) == pytest.approx(0, abs=1e-6)
    assert terms["l1"].item() == supervised(LossSettings())(tiny()(image), batch)["l1"].item() > 0


@pytest.mark.parametrize(("student_scales", "teacher_scales"), [(3, 3), (1, 3), (3, 1), (1, 1)])
def test_terms_are_the_weighted_distance_at_every_scale_of_the_student(
    student_scales: int, teacher_scales: int
) -> None:
    image = torch.full((2, 3, 16, 16), 0.25)
    batch = Batch(image, torch.zeros_like(image))
    outputs = Adds(0.5, student_scales)(image)
    loss = distillation(Teacher(Adds(0.1, teacher_scales)), TaughtSettings(steps=1, teacher_weight=2.0))
    terms = loss([outputs] if isinstance(outputs, Tensor) else outputs, batch)
    assert terms["l1"].item() == pytest.approx(student_scales * 0.75)
    assert terms["teacher_l1"].item() == pytest.approx(2 * student_scales * 0.4)
    # The Fourier transform of a constant has one entry among 2 x pixels numbers: half the constant in the mean.
    assert terms["teacher_frequency"].item() == pytest.approx(2 * 0.1 * student_scales * 0.4 / 2, rel=1e-5)


def test_the_teacher_is_not_taught(tiny: Callable[..., nn.Module]) -> None:
    teacher, student = tiny(), tiny(seed=1)
    image = torch.rand(1, 3, 16, 16)
    terms = distillation(Teacher(teacher.train()), TaughtSettings(steps=1))(student(image), Batch(image, image))
    sum(terms.values()).backward()
    assert not teacher.training
    assert all(p.grad is None for p in teacher.parameters())
    assert student.head.weight.grad is not None


def test_every_target_has_its_weight_and_the_teacher_may_have_terms_of_its_own() -> None:
    image = torch.full((2, 3, 16, 16), 0.25)
    batch = Batch(image, torch.zeros_like(image))
    settings = TaughtSettings(
        steps=1, sharp_weight=3.0, teacher_weight=2.0, loss={"frequency": 0}, teacher_loss={"l1": 5}
    )
    terms = distillation(Teacher(Adds(0.1, 1)), settings)([image + 0.5], batch)
    assert set(terms) == {"l1", "teacher_l1", "teacher_frequency"}
    assert terms["l1"].item() == pytest.approx(3 * 0.75)
    assert terms["teacher_l1"].item() == pytest.approx(2 * 5 * 0.4)
    alone = distillation(Teacher(Adds(0.1, 1)), TaughtSettings(steps=1, sharp_weight=0))([image + 0.5], batch)
    assert set(alone) == {"teacher_l1", "teacher_frequency"}


def test_features_are_compared_relative_to_the_teachers(tiny: Callable[..., nn.Module]) -> None:
    teacher, student = tiny(), tiny()
    adapted = Adapted(student, teacher, {"head": "head", "decoder.0": "decoder.0"}).train()
    settings = DistillSettings(steps=1, features_weight=0.5)
    loss = distillation(Teacher(teacher, ["head", "decoder.0"]), settings, adapted, settings.features_weight)
    image = torch.rand(1, 3, 16, 16)
    for adapter in adapted.adapters:
        nn.init.dirac_(adapter.weight)
        nn.init.zeros_(adapter.bias)
    batch = Batch(image, image)
    assert loss(adapted(image), batch)["teacher_features"].item() == pytest.approx(0, abs=1e-6)
    nn.init.zeros_(adapted.adapters[0].weight)
    # One of two layers says nothing at all: its distance is all there is, 1, and the mean a half.
    assert loss(adapted(image), batch)["teacher_features"].item() == pytest.approx(0.5 / 2, abs=1e-6)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"teacher_weight": 0}, "the teacher must have a weight above 0; without it, the stage is train"),
        ({"warm_start": True}, "warm_start goes with a student's name"),
        ({"features": {"a": "b"}}, "features go with a features_weight above 0"),
        ({"features": {}, "features_weight": 0.1}, "must be scales, or name at least one student's layer"),
    ],
)
def test_settings_that_say_nothing_are_refused(settings: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        DistillSettings(steps=1, **settings)


def test_features_alone_can_be_taught() -> None:
    assert DistillSettings(steps=1, teacher_weight=0, features_weight=0.1).taught_weight == 0.1


@pytest.mark.parametrize(
    ("student", "least", "most"),
    [
        ("mimo-unet-narrow", 0.2, 0.4),  # the article: distillation 20 to 40% fewer parameters
        ("mimo-unet-ds", 0.6, 0.9),  # depthwise-separable convolutions 60 to 70%
        ("mimo-unet-slim", 0.8, 0.82),
        ("edge", 0.8, 0.99),
    ],
)
@pytest.mark.parametrize("teacher", [{}, {"width": 16, "num_blocks": 4}])
def test_students_are_smaller_than_their_teacher(
    student: str, least: float, most: float, teacher: dict[str, int]
) -> None:
    deployed = {"conv": "plain"} if student == "edge" else {}
    small = parameters(build(*student_plan(student, ("mimo-unet", teacher), deployed)))
    assert least < 1 - small / parameters(build("mimo-unet", teacher)) < most


def test_a_students_size_is_its_teachers_where_nothing_is_said() -> None:
    assert student_plan("mimo-unet-ds", ("mimo-unet-plus", {}), {})[1]["num_blocks"] == 20


def test_every_student_can_be_resized(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in STUDENTS:
        architecture, arguments = student_plan(name, ("mimo-unet", {}), {"width": 8, "num_blocks": 1})
        assert (arguments["width"], arguments["num_blocks"]) == (8, 1)
        assert outputs_of(build(architecture, arguments), torch.rand(1, 3, 16, 16))[-1].shape == (1, 3, 16, 16)
    monkeypatch.setenv("LIGHTSHARP_ALLOW_CODE", "torch.nn")
    own = ("torch.nn:Conv2d", {"in_channels": 3})
    assert student_plan(own[0], ("mimo-unet", {"width": 32}), own[1]) == own
    with pytest.raises(UserError, match="'depth' is none"):
        student_plan(own[0], ("mimo-unet", {"width": 32}), {"depth": 3})


@pytest.mark.parametrize(
    ("student", "width", "blocks"),
    [
        ("mimo-unet-narrow", 14, 4),
        ("mimo-unet-slim", 7, 4),
        ("mimo-unet-branched", 7, 4),
        ("mimo-unet-shallow", 16, 2),
        ("mimo-unet-ds", 16, 4),
        ("mimo-unet-ds-shallow", 16, 2),
        ("mimo-unet-ds-slim", 7, 4),
    ],
)
def test_students_are_sized_after_their_teacher(student: str, width: int, blocks: int) -> None:
    _, arguments = student_plan(student, ("mimo-unet", {"width": 16, "num_blocks": 4}), {})
    assert (arguments["width"], arguments["num_blocks"]) == (width, blocks)
