from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from baseline.bounded import BoundedRestorer
from baseline.data.pictures import Picture
from baseline.errors import UserError
from baseline.evaluate import Unchanged
from baseline.selective.calibration import Calibration, Seen, calibration_of, load_calibration
from baseline.selective.choice import FULL, HALF, LEFT, choose, decide, expected_gains
from baseline.selective.overlay import drawn
from baseline.selective.restoring import SelectiveRestorer
from baseline.selective.score import CELL, ScoreModel, scores_of, shipped_model


class Brighter(Unchanged):
    """Changes what it is given by a fifth, and remembers how much that was."""

    def __init__(self) -> None:
        self.pixels = 0

    def __call__(self, blurred: Tensor) -> Tensor:
        self.pixels += blurred.shape[-2] * blurred.shape[-1]
        return blurred + 0.2


class Told(nn.Module):
    """Scores the cells as it is told."""

    def __init__(self, full: np.ndarray, half: np.ndarray) -> None:
        super().__init__()
        self.scores = torch.from_numpy(np.stack([full, half])[None]).float()

    def forward(self, picture: Tensor) -> Tensor:
        assert picture.shape[-2:] == (self.scores.shape[-2] * CELL, self.scores.shape[-1] * CELL)
        return self.scores


def selective(full: np.ndarray, half: np.ndarray | None = None, aim: float = 0.99) -> SelectiveRestorer:
    model = Told(full, np.zeros_like(full) if half is None else half)
    return SelectiveRestorer(BoundedRestorer(Brighter(), 10**9, 1000), model, aim)


def pixels_through(restorer: SelectiveRestorer) -> int:
    network = restorer.bounded.restorer
    assert isinstance(network, Brighter)
    return network.pixels


def grey(rows: int, columns: int, level: int = 100) -> Picture:
    return np.full((rows, columns, 3), level, np.uint8)


def test_only_the_chosen_cells_change_and_fade_out() -> None:
    full = np.zeros((8, 8))
    full[2, 3] = 9.0
    restorer = selective(full)
    changed = restorer(grey(8 * CELL - 5, 8 * CELL)).astype(int) - 100
    assert (changed[2 * CELL : 3 * CELL, 3 * CELL : 4 * CELL] == 51).all()
    assert not changed[: 2 * CELL - 8].any()
    across = changed[2 * CELL + 5, 3 * CELL - 10 : 3 * CELL + 2, 0]
    assert (across[0], across[-1]) == (0, 51)
    assert 0 < np.diff(across).max() <= 7
    assert pixels_through(restorer) == (CELL + 16) ** 2


@pytest.mark.parametrize("size", [(8 * CELL, 8 * CELL), (8 * CELL - 5, 8 * CELL - 31), (8 * CELL - 30, 8 * CELL)])
def test_half_scale_costs_a_quarter_and_changes_the_same(size: tuple[int, int]) -> None:
    full, half = np.zeros((8, 8)), np.zeros((8, 8))
    full[4:8, 3:8] = half[4:8, 3:8] = 9.0
    restorer = selective(full, half, aim=0.4)
    changed = restorer(grey(*size)).astype(int) - 100
    assert restorer.last is not None
    assert set(np.unique(restorer.last.treatment)) == {LEFT, HALF}
    assert (changed[4 * CELL :, 3 * CELL :] == 51).all()
    assert not changed[: 4 * CELL - 8].any()
    assert pixels_through(restorer) <= (2 * CELL + 16) * (2.5 * CELL + 16)


def test_sixteen_bits_and_one_channel_stay_what_they_are() -> None:
    full = np.zeros((4, 4))
    full[1:3, 1:3] = 9.0
    deep = selective(full, full * 0.9, aim=0.5)(np.full((4 * CELL, 4 * CELL, 1), 10_000, np.uint16))
    assert (deep.shape, deep.dtype) == ((4 * CELL, 4 * CELL, 1), np.uint16)
    assert deep[2 * CELL, 2 * CELL, 0] == pytest.approx(10_000 + 0.2 * 65535, abs=1)
    assert deep[0, 0, 0] == 10_000


def test_where_everything_is_blurred_nothing_is_cut() -> None:
    restorer = selective(np.full((4, 4), 9.0))
    assert (restorer(grey(4 * CELL, 4 * CELL)) == 151).all()
    assert restorer.last is not None
    assert restorer.last.whole
    assert pixels_through(restorer) == (4 * CELL) ** 2


def test_where_nothing_is_blurred_nothing_is_done() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (3 * CELL, 50, 3), np.uint8)
    restorer = selective(np.full((3, 2), 0.4))
    heard: list[int] = []
    assert np.array_equal(restorer(picture, heard.append), picture)
    assert pixels_through(restorer) == 0
    assert sum(heard) == 3 * CELL * 50


def test_progress_adds_up_to_the_picture() -> None:
    full = np.zeros((8, 8))
    full[1, 1] = full[6, 6] = full[1, 6] = 9.0
    heard: list[int] = []
    selective(full)(grey(8 * CELL - 1, 8 * CELL), heard.append)
    assert (len(heard), sum(heard)) == (3, (8 * CELL - 1) * 8 * CELL)


def test_the_choice_keeps_the_share_at_the_least_cost() -> None:
    gains = np.zeros((1, 5, 2))
    gains[0, :, 0] = [8.0, 4.0, 2.0, 1.0, 0.0]
    gains[0, :, 1] = [7.9, 0.0, 0.0, 0.0, 0.0]
    assert choose(gains, 0.999).tolist() == [[FULL, FULL, FULL, FULL, LEFT]]
    # Of 15, 14.9 are kept at a quarter of the cost in the first cell.
    assert choose(gains, 0.99)[0].tolist() == [HALF, FULL, FULL, FULL, LEFT]
    assert choose(gains, 0.5)[0, 3] == LEFT
    shares = [np.count_nonzero(choose(gains, aim)) for aim in (0.3, 0.6, 0.9, 0.999)]
    assert shares == sorted(shares)
    assert not choose(np.zeros((2, 2, 2)), 0.9).any()


def test_what_no_one_would_see_is_not_gained() -> None:
    assert expected_gains(np.array([[[0.4, 3.0]]], np.float32)).tolist() == [[[0.0, 9.0]]]


def test_the_work_of_a_decision_counts_margins_calls_and_quarters() -> None:
    full, half = np.zeros((20, 20)), np.zeros((20, 20))
    full[2, 2] = 30.0
    full[10:16, 10:16] = half[10:16, 10:16] = 3.0
    decision = decide(np.dstack([full, half]).astype(np.float32), 0.7, (20 * CELL, 20 * CELL))
    assert decision.treatment[2, 2] == FULL
    assert decision.work == pytest.approx((1.5 * 1.5 + 2) / 400)
    both = decide(np.dstack([full, half]).astype(np.float32), 0.84, (20 * CELL, 20 * CELL))
    assert both.half
    height, width = (both.half[0].bottom - both.half[0].top, both.half[0].right - both.half[0].left)
    assert both.work == pytest.approx((1.5 * 1.5 + 2 + 0.25 * ((height + 1) * (width + 1) + 2)) / 400)


def test_bands_give_the_scores_of_the_whole() -> None:
    torch.manual_seed(0)
    model = ScoreModel().eval()
    picture = np.random.default_rng(0).integers(0, 256, (20 * CELL - 7, 90, 3), np.uint8)
    padded = np.pad(picture, ((0, 7), (0, 6), (0, 0)), mode="edge")
    with torch.inference_mode():
        whole = model(torch.from_numpy(padded.transpose(2, 0, 1).copy())[None].float() / 255)[0]
    np.testing.assert_allclose(scores_of(picture, model), whole.permute(1, 2, 0).numpy(), atol=1e-5)


def test_the_shipped_score_tells_blur_from_none(photo: Picture) -> None:
    from baseline.data.blur import shake

    sharp = scores_of(photo, shipped_model())[..., 0].mean()
    blurred = scores_of(shake(photo, np.random.default_rng(0), 5.0), shipped_model())[..., 0].mean()
    assert blurred > 2 * sharp


def seen(scores: list[float], gains: list[float]) -> Seen:
    errors = np.zeros((3, 1, len(scores)))
    errors[0] = 10.0
    errors[1] = errors[0] - gains
    errors[2] = errors[0]
    return Seen(np.dstack([[scores], np.zeros((1, len(scores)))]).astype(np.float32), errors)


def test_a_calibration_says_what_each_aim_keeps_of_what_is_better() -> None:
    width = 40
    blurred = seen([9.0] * 2 + [1.0] * (width - 2), [8.0] * 2 + [0.5] * (width - 2))
    harmed = seen([9.0] * width, [-1.0] * width)
    found = calibration_of([blurred, harmed], (CELL, width * CELL))
    kept = [step[1] for step in found.steps]
    work = [step[2] for step in found.steps]
    assert kept == sorted(kept)
    assert work == sorted(work)
    # Two cells of forty hold 16 of 35, and their share in dB is 10 log10(400 / 384) of 10 log10(400 / 365).
    assert kept[0] == pytest.approx(np.log(400 / 384) / np.log(400 / 365))
    assert (kept[-1], work[-1]) == (pytest.approx(1.0), 1.0)


def test_a_calibration_is_kept_for_its_network_only(tmp_path: Path) -> None:
    made = Calibration([(0.8, 0.9, 0.4), (0.95, 0.97, 0.6)])
    (tmp_path / "fit.json").write_text(made.as_text("mine"))
    assert load_calibration(tmp_path / "fit.json", "mine") == made
    assert load_calibration(tmp_path / "fit.json", "other") is None
    assert load_calibration(tmp_path / "none.json", "mine") is None
    (tmp_path / "half.json").write_text(made.as_text("mine")[:30])
    assert load_calibration(tmp_path / "half.json", "mine") is None
    assert (made.aim_for(0.85), made.aim_for(0.95)) == (0.8, 0.95)
    with pytest.raises(UserError, match=r"--keep-gain must be at most 0\.970 for this network, by its cal.*got 0\.99"):
        made.aim_for(0.99)


def test_files_of_a_fixed_size_are_refused() -> None:
    class Fixed(Unchanged):
        fixed_size = (64, 96)

    model = Told(np.zeros((1, 1)), np.zeros((1, 1)))
    with pytest.raises(UserError, match="must have a network that takes pictures of any size; this file takes 96x64"):
        SelectiveRestorer(BoundedRestorer(Fixed(), 10**9), model, 0.9)


def test_decisions_are_drawn_over_the_picture_reduced_if_it_is_large() -> None:
    full = np.zeros((2, 4))
    full[1, 2] = 9.0
    decision = decide(np.dstack([full, np.zeros_like(full)]).astype(np.float32), 0.9, (2 * CELL, 4 * CELL))
    picture = drawn(np.full((2 * CELL, 4 * CELL, 1), 100, np.uint8), decision)
    reddish = picture[..., 0].astype(int) > picture[..., 2].astype(int) + 30
    assert reddish[CELL:, 2 * CELL : 3 * CELL].all()
    assert reddish.mean() == pytest.approx(1 / 8)
    wide = decide(np.zeros((1, 120, 2), np.float32), 0.9, (CELL, 120 * CELL))
    assert drawn(np.full((CELL, 120 * CELL, 3), 40_000, np.uint16), wide).shape == (13, 1600, 3)
