import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import nn

from compress.lessons import LessonCache, Teacher

Tiny = Callable[..., nn.Module]


class Counts(nn.Module):
    """A network that counts the crops that it was asked about."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.crops = 0

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        self.crops += len(image)
        outputs: list[torch.Tensor] = self.network(image)
        return outputs


def test_a_lesson_is_outputs_and_features_without_gradients(tiny: Tiny) -> None:
    network, image = tiny().train(), torch.rand(2, 3, 16, 16)
    lesson = Teacher(network, ["decoder.1"])(image)
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())
    for given, expected in zip(lesson.outputs, network(image), strict=True):
        torch.testing.assert_close(given, expected)
        assert not given.requires_grad
    assert [f.shape for f in lesson.features] == [(2, 16, 8, 8)]


def test_a_crop_is_computed_once_and_then_read_whatever_batch_it_is_in(tiny: Tiny, tmp_path: Path) -> None:
    counts, crops = Counts(tiny()), torch.rand(4, 3, 16, 16)
    expected = Teacher(tiny(), ["decoder.1"])(crops)
    teacher = Teacher(counts, ["network.decoder.1"], LessonCache(tmp_path))
    teacher(crops[:2])
    assert counts.crops == 2
    for given in (teacher(crops[[1, 2]]), teacher(crops[[1, 2]])):
        assert counts.crops == 3
        for own, other in zip(given.outputs + given.features, expected.outputs + expected.features, strict=True):
            torch.testing.assert_close(own, other[[1, 2]], atol=2e-3, rtol=1e-3)
    assert str(teacher.cache).startswith("the teacher's lessons: 3 of 6 crops (50%) from the cache, ")


def test_each_crop_gets_the_lesson_that_was_computed_for_it(tiny: Tiny, tmp_path: Path) -> None:
    crops = torch.rand(3, 3, 16, 16)
    teacher = Teacher(tiny(), [], LessonCache(tmp_path))
    teacher(crops[1:2])
    # The first and the last are computed together, the one between them is read.
    expected = Teacher(tiny())(crops).outputs[-1]
    torch.testing.assert_close(teacher(crops).outputs[-1], expected, atol=2e-3, rtol=1e-3)


def test_values_beyond_half_precision_are_kept_as_they_are(tmp_path: Path) -> None:
    cache, crops = LessonCache(tmp_path), torch.rand(1, 3, 16, 16)
    ((given, _),) = cache.keep(crops, [1e6 * crops, crops], seconds=1.0)
    large, small = cache.find(crops[0]) or []
    assert torch.equal(given, large)
    cache.keep(crops, [1e-6 * crops], seconds=1.0)
    assert torch.equal((cache.find(crops[0]) or [])[0], 1e-6 * crops[0])
    assert torch.equal(large, 1e6 * crops[0])
    torch.testing.assert_close(small, crops[0].half().float())


def test_a_damaged_lesson_is_computed_again(tiny: Tiny, tmp_path: Path) -> None:
    counts, crop = Counts(tiny()), torch.rand(1, 3, 16, 16)
    teacher = Teacher(counts, [], LessonCache(tmp_path))
    teacher(crop)
    (kept,) = tmp_path.iterdir()
    kept.write_bytes(kept.read_bytes()[:100])
    teacher(crop)
    teacher(crop)
    assert counts.crops == 2


def test_lessons_that_go_or_cannot_be_written_stop_nothing(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crops = torch.rand(3, 3, 16, 16)
    teacher = Teacher(tiny(), [], LessonCache(tmp_path / "lessons"))
    expected = teacher(crops[:1]).outputs[-1]
    shutil.rmtree(tmp_path / "lessons")
    assert torch.equal(teacher(crops[:1]).outputs[-1], expected)
    (kept,) = (tmp_path / "lessons").iterdir()
    save_file({"other": crops}, kept)
    assert torch.equal(teacher(crops[:1]).outputs[-1], expected)

    def refuse(*_: object) -> None:
        raise SafetensorError("no space left")

    monkeypatch.setattr("compress.lessons.save_file", refuse)
    teacher(crops[1:2])
    teacher(crops[2:])
    assert str(teacher.cache).endswith("; not all were kept: no space left")


@pytest.mark.parametrize("left", ["everything", "slower", "full"])
def test_a_lesson_is_the_same_computed_and_read(
    left: str, tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crop = torch.rand(1, 3, 16, 16)
    expected = Teacher(tiny(), ["decoder.1"], LessonCache(tmp_path / "first"))
    expected(crop)
    read = expected(crop)
    assert expected.cache is not None
    assert expected.cache.read == 1
    cache = LessonCache(tmp_path / "second")
    cache.slower = left == "slower"
    if left == "full":
        monkeypatch.setattr("compress.lessons._SPARE_BYTES", 1e30)
    computed = Teacher(tiny(), ["decoder.1"], cache)(crop)
    for own, other in zip(computed.outputs + computed.features, read.outputs + read.features, strict=True):
        assert torch.equal(own, other)
    assert len(list((tmp_path / "second").iterdir())) == (left == "everything")


def test_what_lessons_will_take_is_said_and_that_a_disk_is_full(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, crops = LessonCache(tmp_path, expected=5000), torch.rand(2, 3, 16, 16)
    cache.keep(crops, [crops], seconds=1.0)
    said = " ".join(capsys.readouterr().err.split())
    assert said.startswith("the teacher's lessons of 5000 crops are kept in ")
    assert said.endswith(": up to 8 MB; delete them when you like")  # 5000 crops of 3x16x16 halves, and headers
    monkeypatch.setattr("compress.lessons._SPARE_BYTES", 1e30)
    cache.keep(torch.rand(1, 3, 16, 16), [crops[:1]], seconds=1.0)
    assert "not all were kept" in str(cache)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_cache_that_is_slower_than_computing_is_left_and_said_to_be(tmp_path: Path) -> None:
    cache = LessonCache(tmp_path)
    crops = torch.rand(2, 3, 16, 16)
    cache.keep(crops, [crops], seconds=1.0)
    cache.kept_seconds = 0.5
    assert cache.find(crops[0]) is not None
    cache.judge()
    assert not cache.slower
    cache.read_seconds = 0.75  # for one crop; computing takes half a second
    cache.judge()
    assert cache.slower
    assert cache.find(crops[0]) is None
    assert str(cache) == (
        "the teacher's lessons: 1 of 3 crops (33%) from the cache, 750.0 ms each; computed in 500.0 ms each, "
        "written in 250.0 ms; the cache was slower, and left"
    )


@pytest.mark.parametrize("cached", [False, True])
def test_only_a_cache_is_reported(cached: bool, tiny: Tiny, tmp_path: Path) -> None:
    teacher = Teacher(tiny(), [], LessonCache(tmp_path) if cached else None)
    teacher(torch.rand(1, 3, 16, 16))
    assert ("lessons" in teacher.report()) is cached
