from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from baseline.ensemble import SelfEnsemble
from baseline.errors import UserError
from baseline.evaluate import Unchanged
from baseline.restorer import NetworkRestorer, restore_any_size


class Leftmost(Unchanged):
    """Every row becomes its leftmost pixel: as far from equivariant as can be."""

    def __call__(self, blurred: Tensor) -> Tensor:
        return blurred[..., :1].expand_as(blurred)


def test_the_mean_is_over_four_turns_and_their_mirror_images() -> None:
    picture = torch.rand(1, 3, 5, 8, generator=torch.Generator().manual_seed(0))
    # Seen from each of the four sides, each twice: the border pixel on that side of every pixel's row or column.
    sides = (picture[..., :1], picture[..., -1:], picture[..., :1, :], picture[..., -1:, :])
    expected = sum(side.expand_as(picture) for side in sides) / 4
    assert torch.allclose(SelfEnsemble(Leftmost())(picture), expected, atol=1e-6)


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
