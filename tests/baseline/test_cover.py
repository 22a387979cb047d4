import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from baseline.selective.cover import Price, Rectangle, cover, work_of

PRICE = Price(margin=0.5, each=1.0)


@settings(max_examples=80, deadline=None)
@given(chosen=arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12))), margin=st.floats(0, 1))
def test_all_chosen_cells_are_covered_once_with_no_more_work_than_one_rectangle(
    chosen: np.ndarray, margin: float
) -> None:
    covered = np.zeros(chosen.shape, int)
    rectangles = cover(chosen, Price(margin, 1.0))
    for top, bottom, left, right in rectangles:
        covered[top:bottom, left:right] += 1
        sides = chosen[top, left:right], chosen[bottom - 1, left:right], chosen[top:bottom, left]
        assert all(side.any() for side in sides)
    assert covered.max() <= 1
    assert (covered >= chosen).all()
    whole = work_of([Rectangle(0, chosen.shape[0], 0, chosen.shape[1])], Price(margin, 1.0))
    assert work_of(rectangles, Price(margin, 1.0)) <= whole


def test_what_is_near_is_joined_and_what_is_far_is_not() -> None:
    chosen = np.zeros((10, 30), bool)
    chosen[2:5, 1:4] = True
    chosen[6, 1:4] = True
    chosen[3, 25] = True
    assert sorted(cover(chosen, PRICE)) == [Rectangle(2, 7, 1, 4), Rectangle(3, 4, 25, 26)]
    assert cover(np.zeros((3, 3), bool), PRICE) == []


def test_a_large_grid_of_scattered_cells_is_covered_in_pieces() -> None:
    chosen = np.random.default_rng(0).random((60, 60)) < 0.02
    assert len(cover(chosen, PRICE)) > 30


def test_work_counts_the_margin_and_the_call() -> None:
    price = Price(margin=0.5, each=2.0)
    assert work_of([Rectangle(0, 2, 0, 3), Rectangle(4, 5, 4, 5)], price) == (3 * 4 + 2) + (2 * 2 + 2)
    assert work_of([], price) == 0
