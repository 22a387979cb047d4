import pytest

from reports.digits import change_text, compact, latency_texts, percent


@pytest.mark.parametrize(
    ("share", "decimals", "text"),
    [
        (0.305, 1, "30.5%"),
        (0.3, 0, "30%"),
        (0.9996, 0, "99.96%"),
        (0.996, 0, "99.6%"),
        (0.9996, 1, "99.96%"),
        (1.0, 0, "100%"),
        (1.5, 1, "150.0%"),
        (0.0, 1, "0.0%"),
    ],
)
def test_only_all_is_a_hundred_percent(share: float, decimals: int, text: str) -> None:
    assert percent(share, decimals) == text


def test_a_change_has_a_sign_unless_it_is_none_as_shown() -> None:
    assert change_text(70, 100) == "-30.0%"
    assert change_text(130, 100) == "+30.0%"
    assert change_text(100.04, 100) == change_text(99.96, 100) == "0.0%"
    assert change_text(0.04, 100) == "-99.96%"
    assert change_text(1, None) == change_text(1, 0) == ""


def test_a_count_can_be_told_in_the_unit_of_another() -> None:
    assert (compact(93.5e6), compact(187e6)) == ("93.50 M", "0.19 G")
    assert compact(187e6, like=93.5e6) == "187.00 M"


def test_latencies_that_are_read_together_have_the_same_digits() -> None:
    assert latency_texts([0.2, 0.25]) == ["0.20", "0.25"]
    assert latency_texts([59.32, 58.6]) == ["59.32", "58.60"]
    assert latency_texts([99.9, 95.0, 101.25]) == ["99.9", "95.0", "101.2"]
