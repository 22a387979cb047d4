from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from baseline.ensemble import SelfEnsemble
from baseline.errors import UserError
from baseline.evaluate import Unchanged
from baseline.restorer import NetworkRestorer, restore_any_size


class BesideTheCorner(Unchanged):
    """The whole picture becomes the pixel right of its upper left corner, which all eight views see elsewhere."""

    def __call__(self, blurred: Tensor) -> Tensor:
        return blurred[..., :1, 1:2].expand_as(blurred)


def test_the_mean_is_over_four_turns_and_their_mirror_images() -> None:
    picture = torch.rand(1, 3, 5, 8, generator=torch.Generator().manual_seed(0))
    beside_corners = [(0, 1), (0, 6), (4, 1), (4, 6), (1, 0), (3, 0), (1, 7), (3, 7)]
    expected = sum(picture[..., row, column] for row, column in beside_corners) / 8
    assert torch.allclose(SelfEnsemble(BesideTheCorner())(picture), expected[..., None, None].expand_as(picture))


def test_what_changes_nothing_changes_nothing(photo_tensor: Tensor) -> None:
    assert torch.allclose(SelfEnsemble(Unchanged())(photo_tensor), photo_tensor, atol=1e-6)


def test_an_ensemble_turns_with_its_picture(tiny: Callable[..., nn.Module], photo_tensor: Tensor) -> None:
    ensemble = SelfEnsemble(NetworkRestorer(tiny()))
    picture = photo_tensor[..., :37, :61]
    turned = restore_any_size(ensemble, torch.rot90(picture[..., :36, :60], 1, (-2, -1)))
    assert torch.allclose(torch.rot90(turned, -1, (-2, -1)), ensemble(picture[..., :36, :60]), atol=1e-5)
    assert restore_any_size(ensemble, picture).shape == picture.shape


def test_a_fixed_size_must_be_square() -> None:
    fixed = Unchanged()
    fixed.fixed_size = (64, 96)
    with pytest.raises(UserError, match=r"a fixed size must be square; this network takes 64x96 only\. Export it"):
        SelfEnsemble(fixed)
    fixed.fixed_size = (64, 64)
    assert SelfEnsemble(fixed).fixed_size == (64, 64)
