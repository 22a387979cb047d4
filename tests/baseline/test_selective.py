import json
from pathlib import Path

import numpy as np
import pytest
import torch
from baseline.blur_score import CELL, features
from baseline.gain_model import GainModel, fit_gains
from baseline.overlay import Overlay
from baseline.selective_fit import SelectiveFit, load_fit
from torch import Tensor

from baseline.data.blur import shake
from baseline.data.loader import to_tensor
from baseline.data.pictures import Picture, read_picture
from baseline.errors import UserError
from baseline.evaluate import Unchanged
from baseline.selective import FULL, HALF, LEAST_GAIN, LEFT, SelectiveRestorer, choose


class Brighter(Unchanged):
    """Changes what it is given by a tenth, and remembers how much that was."""

    def __init__(self) -> None:
        self.pixels = 0

    def __call__(self, blurred: Tensor) -> Tensor:
        self.pixels += blurred.shape[-2] * blurred.shape[-1]
        return blurred + 0.1


class Told(GainModel):
    """Expects the gains that it is given."""

    def __init__(self, gains: np.ndarray) -> None:
        super().__init__([], [], [])
        object.__setattr__(self, "given", gains)

    def gains(self, looks: np.ndarray) -> np.ndarray:
        assert looks.shape[:2] == self.given.shape[:2]
        return self.given


def selective(full: np.ndarray, half: np.ndarray | None = None, aim: float = 0.99) -> SelectiveRestorer:
    return SelectiveRestorer(Brighter(), Told(np.dstack([full, np.zeros_like(full) if half is None else half])), aim)


def test_only_the_chosen_cells_change_and_fade_out() -> None:
    full = np.zeros((8, 8))
    full[2, 3] = 1.0
    restorer = selective(full)
    changed = restorer(torch.full((1, 3, 8 * CELL - 5, 8 * CELL), 0.5)) - 0.5
    cell = np.s_[0, :, 2 * CELL : 3 * CELL, 3 * CELL : 4 * CELL]
    torch.testing.assert_close(changed[cell], torch.full_like(changed[cell], 0.1))
    assert changed[..., : 2 * CELL - 8, :].abs().max() == 0
    across = changed[0, 0, 2 * CELL + 5, 3 * CELL - 10 : 3 * CELL + 2]
    assert 0 < across.diff().max() < 0.03
    assert restorer.restorer.pixels == (CELL + 32) ** 2


def test_half_scale_costs_a_quarter_and_changes_the_same() -> None:
    full, half = np.zeros((8, 8)), np.zeros((8, 8))
    full[2:4, 3] = half[2:4, 3] = 1.0
    restorer = selective(full, half)
    changed = restorer(torch.full((1, 3, 8 * CELL, 8 * CELL), 0.5)) - 0.5
    cells = np.s_[0, :, 2 * CELL : 4 * CELL, 3 * CELL : 4 * CELL]
    torch.testing.assert_close(changed[cells], torch.full_like(changed[cells], 0.1))
    assert restorer.restorer.pixels == (CELL + 32) * (CELL // 2 + 32)
    assert set(np.unique(restorer.last.treatment)) == {LEFT, HALF}


def test_where_everything_is_blurred_nothing_is_cut() -> None:
    restorer = selective(np.ones((4, 4)))
    assert torch.allclose(restorer(torch.zeros(1, 3, 4 * CELL, 4 * CELL)), torch.tensor(0.1))
    assert restorer.last.whole
    assert restorer.restorer.pixels == (4 * CELL) ** 2


def test_where_nothing_is_blurred_nothing_is_done() -> None:
    picture = torch.rand(2, 3, 3 * CELL, 50)
    restorer = selective(np.full((3, 2), LEAST_GAIN))
    assert torch.equal(restorer(picture), picture)
    assert restorer.restorer.pixels == 0


def test_the_choice_keeps_the_share_at_the_least_cost() -> None:
    gains = np.zeros((1, 5, 2))
    gains[0, :, 0] = [8.0, 4.0, 2.0, 1.0, -3.0]
    gains[0, :, 1] = [7.9, 0.0, 0.0, 0.0, 0.0]
    assert choose(gains, 0.999).tolist() == [[FULL, FULL, FULL, FULL, LEFT]]
    # Of 15, 14.9 are kept at a quarter of the cost in the first cell.
    assert choose(gains, 0.99)[0].tolist() == [HALF, FULL, FULL, FULL, LEFT]
    assert choose(gains, 0.5)[0, 3] == LEFT
    shares = [np.count_nonzero(choose(gains, aim)) for aim in (0.3, 0.6, 0.9, 0.999)]
    assert shares == sorted(shares)


def test_blur_takes_the_finest_octaves_first(photo: Picture) -> None:
    sharp, blurred = (
        features(to_tensor(picture).permute(1, 2, 0).numpy())
        for picture in (photo, shake(photo, np.random.default_rng(0), 4.0))
    )
    assert sharp.shape == (6, 8, 8)
    lost = (sharp - blurred).mean(axis=(0, 1))
    assert lost[0] > lost[3] + 0.4


def test_gains_are_learnt_from_looks() -> None:
    rng = np.random.default_rng(0)
    looks = rng.normal(-5, 1, (4000, 8)).astype(np.float32)
    energy = np.exp(looks[:, :4]).sum(axis=1)
    # The less of the finest octave there is beside the next, the more is gained.
    true = np.stack([0.2 * (looks[:, 1] - looks[:, 0]), np.full(4000, 0.1)], axis=1) * energy[:, None]
    model = fit_gains(looks[:3000], true[:3000])
    expected = model.gains(looks[None, 3000:])[0]
    assert np.corrcoef(expected[:, 0], true[3000:, 0])[0, 1] > 0.95
    assert np.corrcoef(expected[:, 1], true[3000:, 1])[0, 1] > 0.99


def test_a_fit_is_kept_for_its_network_only(tmp_path: Path) -> None:
    fit = SelectiveFit(GainModel([0.0], [1.0], [[1.0, 2.0]]), [(0.8, 0.9), (0.95, 0.97)])
    (tmp_path / "fit.json").write_text(fit.as_text("mine"))
    assert load_fit(tmp_path / "fit.json", "mine") == fit
    assert load_fit(tmp_path / "fit.json", "other") is None
    assert load_fit(tmp_path / "none.json", "mine") is None
    assert json.loads(fit.as_text("mine"))["network"] == "mine"
    assert (fit.aim_for(0.85), fit.aim_for(0.95)) == (0.8, 0.95)
    with pytest.raises(UserError, match=r"--keep-gain must be at most 0\.970 for this network, by its fit; got 0\.99"):
        fit.aim_for(0.99)


def test_files_of_a_fixed_size_and_odd_networks_are_refused() -> None:
    class Fixed(Unchanged):
        fixed_size = (64, 96)

    class Odd(Unchanged):
        size_multiple = 24

    with pytest.raises(UserError, match="must have a network that takes pictures of any size; this file takes 96x64"):
        SelectiveRestorer(Fixed(), Told(np.zeros((1, 1, 2))), 0.9)
    with pytest.raises(UserError, match="size_multiple divides 16; this one's is 24"):
        SelectiveRestorer(Odd(), Told(np.zeros((1, 1, 2))), 0.9)


def test_decisions_are_drawn(tmp_path: Path) -> None:
    full = np.zeros((2, 4))
    full[1, 2] = 1.0
    restorer = selective(full)
    overlay = Overlay(restorer, tmp_path / "out", tmp_path / "drawn")
    grey = np.full((2 * CELL, 4 * CELL, 1), 100, np.uint8)
    restorer(torch.full((1, 3, 2 * CELL, 4 * CELL), 0.4))
    overlay.watch((slice(0, 2 * CELL), slice(0, 4 * CELL)))
    path = overlay.draw(grey, tmp_path / "out" / "a" / "b.jpg")
    assert path == tmp_path / "drawn" / "a" / "b.png"
    drawn = read_picture(path)
    reddish = drawn[..., 0] > drawn[..., 2] + 30
    assert reddish[CELL:, 2 * CELL : 3 * CELL].all()
    assert reddish.mean() == pytest.approx(1 / 8)
