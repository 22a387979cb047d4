from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from baseline.bounded import BoundedRestorer
from baseline.data.pictures import Picture
from baseline.errors import UserError
from baseline.evaluate import Unchanged
from baseline.selective.calibration import Calibration, Seen, calibration_of, call_cost, load_calibration
from baseline.selective.choice import LEFT, choose, decide
from baseline.selective.overlay import drawn
from baseline.selective.restoring import SelectiveRestorer
from baseline.selective.scales import SCALES, change_at
from baseline.selective.score import CELL, Gains, ScoreModel, gains_of, per_cell, shipped_model

FULL, THREE_QUARTERS, HALF = range(1, len(SCALES) + 1)


class Brighter(Unchanged):
    """Changes what it is given by a fifth, and remembers how much that was."""

    def __init__(self) -> None:
        self.pixels = 0

    def __call__(self, blurred: Tensor) -> Tensor:
        self.pixels += blurred.shape[-2] * blurred.shape[-1]
        return blurred + 0.2


class Told(nn.Module):
    """Expects of the cells what it is told."""

    def __init__(self, gains: Gains) -> None:
        super().__init__()
        self.gains = torch.from_numpy(gains).permute(2, 0, 1)[None]

    def forward(self, picture: Tensor) -> Tensor:
        assert picture.shape[-2:] == (self.gains.shape[-2] * CELL, self.gains.shape[-1] * CELL)
        return self.gains


def expected(full: np.ndarray, three_quarters: float = 0.0, half: float = 0.0) -> Gains:
    """Gains of the cells in full, and such shares of them at smaller scales."""
    return np.dstack([full, three_quarters * full, half * full]).astype(np.float32)


def selective(gains: Gains, price: float = 1.0) -> SelectiveRestorer:
    return SelectiveRestorer(BoundedRestorer(Brighter(), 10**9, 1000), Told(gains), price)


def pixels_through(restorer: SelectiveRestorer) -> int:
    network = restorer.bounded.restorer
    assert isinstance(network, Brighter)
    return network.pixels


def grey(rows: int, columns: int, level: int = 100) -> Picture:
    return np.full((rows, columns, 3), level, np.uint8)


def test_only_the_chosen_cells_change_and_fade_out() -> None:
    full = np.zeros((8, 8))
    full[2, 3] = 9.0
    restorer = selective(expected(full))
    changed = restorer(grey(8 * CELL - 5, 8 * CELL)).astype(int) - 100
    assert (changed[2 * CELL : 3 * CELL, 3 * CELL : 4 * CELL] == 51).all()
    assert not changed[: 2 * CELL - 8].any()
    across = changed[2 * CELL + 5, 3 * CELL - 10 : 3 * CELL + 2, 0]
    assert (across[0], across[-1]) == (0, 51)
    assert 0 < np.diff(across).max() <= 7
    assert pixels_through(restorer) == (CELL + 16) ** 2


@pytest.mark.parametrize("size", [(8 * CELL, 8 * CELL), (8 * CELL - 5, 8 * CELL - 31), (8 * CELL - 30, 8 * CELL)])
@pytest.mark.parametrize(("place", "margin"), [(THREE_QUARTERS, 12), (HALF, 16)])
def test_a_smaller_scale_costs_its_square_and_changes_the_same(size: tuple[int, int], place: int, margin: int) -> None:
    full = np.zeros((8, 8))
    full[4:8, 3:8] = 9.0
    restorer = selective(expected(full, 1.0 * (place == THREE_QUARTERS), 1.0 * (place == HALF)))
    changed = restorer(grey(*size)).astype(int) - 100
    assert restorer.last is not None
    assert set(np.unique(restorer.last.treatment)) == {LEFT, place}
    assert (changed[4 * CELL :, 3 * CELL :] == 51).all()
    assert not changed[: 4 * CELL - margin].any()
    seen = (size[0] - 4 * CELL + margin) * (size[1] - 3 * CELL + margin)
    assert pixels_through(restorer) == pytest.approx(SCALES[place - 1] ** 2 * seen, rel=0.1)


def test_what_is_finer_fades_into_what_is_coarser() -> None:
    gains = expected(np.full((4, 6), 9.0), 0.0, 1.0)
    gains[1:3, 1:3] = (90.0, 0.0, 0.0)
    restorer = selective(gains)
    assert (restorer(grey(4 * CELL, 6 * CELL)) == 151).all()
    assert restorer.last is not None
    assert [part.scale for part in restorer.last.parts] == sorted(
        (part.scale for part in restorer.last.parts), reverse=True
    )
    assert {FULL, HALF} == set(np.unique(restorer.last.treatment))


def test_no_part_is_so_large_that_it_takes_much_memory() -> None:
    gains = np.zeros((70, 80))
    gains[1:68, 2:70] = 9.0
    decision = decide(expected(gains), 1.0, (70 * CELL, 80 * CELL))
    sides = [(p.rectangle.bottom - p.rectangle.top, p.rectangle.right - p.rectangle.left) for p in decision.parts]
    assert max(max(side) for side in sides) == 32
    assert sum(height * width for height, width in sides) == 67 * 68
    assert (decision.treatment == FULL).sum() == 67 * 68


def test_sixteen_bits_and_one_channel_stay_what_they_are() -> None:
    full = np.zeros((4, 4))
    full[1:3, 1:3] = 9.0
    for gains in (expected(full), expected(full, 1.0), expected(full, 0.0, 1.0)):
        deep = selective(gains)(np.full((4 * CELL, 4 * CELL, 1), 10_000, np.uint16))
        assert (deep.shape, deep.dtype) == ((4 * CELL, 4 * CELL, 1), np.uint16)
        assert deep[2 * CELL, 2 * CELL, 0] == pytest.approx(10_000 + 0.2 * 65535, abs=1)
        assert deep[0, 0, 0] == 10_000


def test_where_everything_is_blurred_nothing_is_cut() -> None:
    restorer = selective(expected(np.full((4, 4), 9.0)))
    assert (restorer(grey(4 * CELL, 4 * CELL)) == 151).all()
    assert restorer.last is not None
    assert restorer.last.whole
    assert pixels_through(restorer) == (4 * CELL) ** 2


@pytest.mark.parametrize("gain", [0.2, -5.0])
def test_where_nothing_is_gained_nothing_is_done(gain: float) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (3 * CELL, 50, 3), np.uint8)
    restorer = selective(expected(np.full((3, 2), gain), 1.0, 1.0))
    heard: list[int] = []
    assert np.array_equal(restorer(picture, heard.append), picture)
    assert pixels_through(restorer) == 0
    assert sum(heard) == 3 * CELL * 50


def test_progress_adds_up_to_the_picture() -> None:
    full = np.zeros((8, 8))
    full[1, 1] = full[6, 6] = full[1, 6] = 9.0
    heard: list[int] = []
    restorer = selective(expected(full))
    restorer(grey(8 * CELL - 1, 8 * CELL), heard.append)
    assert restorer.last is not None
    assert not restorer.last.whole
    assert len(heard) == 3
    assert sum(heard) == (8 * CELL - 1) * 8 * CELL


def test_a_cell_takes_what_gains_most_over_its_price() -> None:
    gains = expected(np.array([[8.0, 4.0, 2.0, 1.0, -3.0]]))
    gains[0, 0, 2] = 7.0
    assert choose(gains, 0.5).tolist() == [[FULL, FULL, FULL, FULL, LEFT]]
    # What seven of eight cost at half scale is a quarter.
    assert choose(gains, 1.5).tolist() == [[HALF, FULL, FULL, LEFT, LEFT]]
    assert choose(gains, 4.0).tolist() == [[HALF, LEFT, LEFT, LEFT, LEFT]]
    assert not choose(gains, 40.0).any()
    assert not choose(expected(np.full((2, 2), -1.0), 0.1), 0.0).any()


def test_the_work_of_a_decision_counts_margins_calls_and_scales() -> None:
    gains = np.zeros((20, 20, 3), np.float32)
    gains[2, 2, 0] = 900.0
    decision = decide(gains, 1.0, (20 * CELL, 20 * CELL))
    assert decision.treatment[2, 2] == FULL
    assert decision.work == pytest.approx((1.5 * 1.5 + 2) / 402)
    gains[10:16, 10:14, 1] = 9.0
    both = decide(gains, 1.0, (20 * CELL, 20 * CELL))
    assert decide(gains, 200.0, (20 * CELL, 20 * CELL)).work == decision.work  # with its margin it costs 4.25 cells
    assert decide(gains, 220.0, (20 * CELL, 20 * CELL)).parts == []
    assert both.work == pytest.approx((1.5 * 1.5 + 2 + 0.5625 * 6.75 * 4.75 + 2) / 402)


def test_what_is_changed_at_any_scale_is_in_the_levels_of_the_picture(photo: Picture) -> None:
    part = photo[:64, :96]
    for scale in SCALES:
        assert not change_at(scale, lambda pixels: pixels, part).any()
        darker = change_at(scale, lambda pixels: pixels // 2, part)
        assert darker.shape == part.shape
        assert np.abs(darker + part / 2).mean() < (1 if scale == 1 else 8)
        assert darker.mean() == pytest.approx(-part.mean() / 2, rel=0.01)


def test_the_mean_of_a_cell_is_of_what_lies_in_the_picture() -> None:
    values = np.ones((CELL + 3, 2 * CELL), np.float32)
    values[CELL:, :CELL] = 4.0
    assert per_cell(values).tolist() == [[1.0, 1.0], [4.0, 1.0]]


def test_bands_give_the_gains_of_the_whole() -> None:
    torch.manual_seed(0)
    model = ScoreModel().eval()
    picture = np.random.default_rng(0).integers(0, 256, (20 * CELL - 7, 90, 3), np.uint8)
    padded = np.pad(picture, ((0, 7), (0, 6), (0, 0)), mode="edge")
    with torch.inference_mode():
        whole = model(torch.from_numpy(padded.transpose(2, 0, 1).copy())[None].float() / 255)[0]
    np.testing.assert_allclose(gains_of(picture, model), whole.permute(1, 2, 0).numpy(), atol=1e-5)


def test_the_shipped_score_tells_blur_from_none(photo: Picture) -> None:
    from baseline.data.blur import shake

    sharp = gains_of(photo, shipped_model())[..., 0].mean()
    blurred = gains_of(shake(photo, np.random.default_rng(0), 5.0), shipped_model())[..., 0].mean()
    assert blurred > 2 * sharp


def seen(told: list[float], true: list[float]) -> Seen:
    """A window of one row of cells: what is expected of them in full, and what they gain, of an error of 10."""
    errors = np.full((1 + len(SCALES), 1, len(told)), 10.0, np.float32)
    errors[1] -= true
    return Seen(expected(np.array([told])), errors, (CELL, len(told) * CELL))


def test_a_calibration_says_what_each_price_keeps_of_what_is_better() -> None:
    width = 40
    blurred = seen([200.0] * 2 + [1.0] * (width - 2), [8.0] * 2 + [0.5] * (width - 2))
    harmed = seen([80.0] * width, [-1.0] * width)
    found = calibration_of([blurred, harmed])
    prices, kept, work = zip(*found.steps, strict=True)
    assert list(prices) == sorted(prices, reverse=True)
    assert list(kept) == sorted(kept)
    assert list(work) == sorted(work)
    # Two cells of forty hold 16 of 35, and their share in dB is 10 log10(400 / 384) of 10 log10(400 / 365).
    # In single precision, whose last digits depend on the CPU.
    assert kept[0] == pytest.approx(np.log(400 / 384) / np.log(400 / 365), rel=1e-5)
    assert (kept[-1], work[-1]) == (pytest.approx(1.0), 1.0)


def test_what_a_call_costs_is_measured_in_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]

    class Slow(Unchanged):
        size_multiple = 8
        min_size = 16

        def __call__(self, blurred: Tensor) -> Tensor:
            assert not blurred.shape[-1] % 8
            clock[0] += 1e-3 * CELL**2 + 1e-3 * blurred.shape[-2] * blurred.shape[-1]
            return blurred

    monkeypatch.setattr("time.perf_counter", lambda: clock[0])
    # A large picture takes a call, too, and so its pixels seem a little dearer.
    assert call_cost(Slow()) == pytest.approx(1.0, abs=0.15)
    many = np.zeros((20, 20))
    many[::4, ::4] = 9.0
    assert len(decide(expected(many), 1.0, (20 * CELL, 20 * CELL), 0.5).parts) == 25
    assert len(decide(expected(many), 0.01, (20 * CELL, 20 * CELL), 40.0).parts) == 5


def test_a_calibration_is_kept_for_its_network_only(tmp_path: Path) -> None:
    made = Calibration([(2.0, 0.9, 0.4), (0.5, 0.97, 0.6)], 3.5)
    (tmp_path / "fit.json").write_text(made.as_text("mine"))
    assert load_calibration(tmp_path / "fit.json", "mine") == made
    assert load_calibration(tmp_path / "fit.json", "other") is None
    assert load_calibration(tmp_path / "none.json", "mine") is None
    (tmp_path / "half.json").write_text(made.as_text("mine")[:30])
    assert load_calibration(tmp_path / "half.json", "mine") is None
    assert (made.price_for(0.85), made.price_for(0.95)) == (2.0, 0.5)
    assert Calibration([(4.0, 0.95, 0.3), (2.0, 0.94, 0.4), (1.0, 0.96, 0.5)]).price_for(0.95) == 1.0
    with pytest.raises(UserError, match=r"--keep-gain must be at most 0\.970 for this network, by its cal.*got 0\.99"):
        made.price_for(0.99)


def test_files_of_a_fixed_size_are_refused() -> None:
    class Fixed(Unchanged):
        fixed_size = (64, 96)

    model = Told(expected(np.zeros((1, 1))))
    with pytest.raises(UserError, match="must have a network that takes pictures of any size; this file takes 96x64"):
        SelectiveRestorer(BoundedRestorer(Fixed(), 10**9), model, 0.9)


def test_decisions_are_drawn_over_the_picture_reduced_if_it_is_large() -> None:
    full = np.zeros((2, 4))
    full[1, 2] = 9.0
    decision = decide(expected(full), 1.0, (2 * CELL, 4 * CELL))
    picture = drawn(np.full((2 * CELL, 4 * CELL, 1), 100, np.uint8), decision)
    reddish = picture[..., 0].astype(int) > picture[..., 2].astype(int) + 30
    assert reddish[CELL:, 2 * CELL : 3 * CELL].all()
    assert reddish.mean() == pytest.approx(1 / 8)
    wide = decide(np.zeros((1, 120, 3), np.float32), 1.0, (CELL, 120 * CELL))
    assert drawn(np.full((CELL, 120 * CELL, 3), 40_000, np.uint16), wide).shape == (13, 1600, 3)
