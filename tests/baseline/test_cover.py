import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from baseline.selective.cover import Rectangle, cover, work_of


@settings(max_examples=80, deadline=None)
@given(chosen=arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12))), margin=st.floats(0, 1))
def test_all_chosen_cells_are_covered(chosen: np.ndarray, margin: float) -> None:
    covered = np.zeros_like(chosen)
    rectangles = cover(chosen, margin, 1.0)
    for top, bottom, left, right in rectangles:
        covered[top:bottom, left:right] = True
        assert chosen[top:bottom, left:right].any()
    assert (covered >= chosen).all()
    rows = sum(np.count_nonzero(np.diff(np.r_[0, row.astype(int), 0]) == 1) for row in chosen)
    assert len(rectangles) <= rows


def test_what_is_near_is_joined_and_what_is_far_is_not() -> None:
    chosen = np.zeros((10, 30), bool)
    chosen[2:5, 1:4] = True
    chosen[6, 1:4] = True
    chosen[3, 25] = True
    assert sorted(cover(chosen, 0.5, 1.0)) == [Rectangle(2, 7, 1, 4), Rectangle(3, 4, 25, 26)]
    assert cover(np.zeros((3, 3), bool), 0.5, 1.0) == []


def test_work_counts_the_margin_and_the_call() -> None:
    assert work_of([Rectangle(0, 2, 0, 3), Rectangle(4, 5, 4, 5)], 0.5, 2.0) == (3 * 4 + 2) + (2 * 2 + 2)
    assert work_of([], 0.5, 2.0) == 0
