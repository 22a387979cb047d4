from reports.figures import sparkline


def test_a_sparkline_runs_from_left_to_right_and_high_is_up() -> None:
    assert 'points="1.0,1.0 60.0,12.0 119.0,23.0"' in sparkline([2.0, 1.0, 0.0])


def test_a_sparkline_needs_two_finite_values() -> None:
    assert sparkline([1.0, float("nan")]) == ""
