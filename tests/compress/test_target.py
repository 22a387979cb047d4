import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from baseline.errors import UserError
from compress import target
from compress.target import Target


class Fixed:
    """A restorer of one size."""

    size_multiple, min_size = 8, 16
    fixed_size: tuple[int, int] | None = (16, 24)
    max_batch: int | None = None

    def __call__(self, blurred: Tensor) -> Tensor:
        return blurred


def test_a_file_of_one_size_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "a.pte").touch()
    monkeypatch.setattr(target, "open_deployable", lambda path: Fixed())
    assert Target(str(tmp_path / "a.pte"), "executorch", size=(16, 24)).open().fixed_size == (16, 24)
    with pytest.raises(UserError, match=r"takes 16x24 only; export one for 24x16\."):
        Target(str(tmp_path / "a.pte"), "executorch", size=(24, 16)).open()
    with pytest.raises(UserError, match="the size must be multiples of 8"):
        Target(str(tmp_path / "a.pte"), "executorch", size=(20, 24)).open()


def test_a_target_goes_through_json() -> None:
    one = Target("a", "inductor", "cuda", (16, 24), 2, 3, cuda_graphs=False)
    assert Target.from_json(json.loads(json.dumps(one.as_json()))) == one


def test_the_image_is_the_same_for_all_targets_of_a_size() -> None:
    images = [Target(name, "eager", size=(16, 24), batch=2).image() for name in "ab"]
    assert images[0].shape == (2, 3, 16, 24)
    assert torch.equal(*images)


def test_an_artifact_is_opened_in_memory(float_folder: Path) -> None:
    one = Target(str(float_folder), "eager", size=(16, 24))
    assert one.open()(one.image()).shape == (1, 3, 16, 24)
