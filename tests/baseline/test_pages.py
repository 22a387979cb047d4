from itertools import islice, pairwise

import numpy as np
import pytest

from baseline.data.pages import PAGE, draw_style, render_page
from baseline.data.words import invent_words, running_text


def words(seed: int, held_out: bool, count: int = 2000) -> set[str]:
    return set(islice(invent_words(np.random.default_rng(seed), held_out), count))


def test_held_out_words_occur_nowhere_else() -> None:
    common, held_out = words(0, False), words(0, True)
    assert min(len(common), len(held_out)) > 500
    assert not common & held_out
    # Other seeds draw on the same two vocabularies.
    assert not words(1, False) & held_out
    assert len(words(1, False) & common) > 200


def test_running_text_has_sentences_numbers_and_marks() -> None:
    text = list(islice(running_text(np.random.default_rng(0), False), 2000))
    assert text[0][0].isupper()
    after_stop = [b for a, b in pairwise(text) if a[-1] in ".?!"]
    assert len(after_stop) > 100
    assert not [word for word in after_stop if word[0].islower()]
    assert any(word.isdecimal() for word in text)
    assert {",", ";", ")", '"'} < {word[-1] for word in text}


@pytest.mark.parametrize("held_out", [False, True])
def test_pages_are_full_of_ink_on_paper(held_out: bool) -> None:
    for number in range(2):
        page = render_page([5, number], held_out)
        assert page.shape == (*PAGE, 3)
        assert page.dtype == np.uint8
        style = draw_style(np.random.default_rng([5, number]))
        to_paper = np.abs(page - style.paper).mean(axis=2)
        to_ink = np.abs(page - style.ink).mean(axis=2)
        assert 0.03 < (to_ink < to_paper).mean() < 0.4
        # Writing from the first quarter to the last.
        for quarter in np.array_split(to_ink < to_paper, 4):
            assert quarter.mean() > 0.01


def test_a_seed_says_all_of_a_page() -> None:
    once, again, other = (render_page([1, number], False) for number in (3, 3, 4))
    assert np.array_equal(once, again)
    assert not np.array_equal(once, other)


def test_styles_differ() -> None:
    styles = [draw_style(np.random.default_rng(seed)) for seed in range(60)]
    assert {style.columns for style in styles} == {1, 2, 3}
    assert {style.bold for style in styles} == {0, 1}
    inverted = [style.ink.mean() > style.paper.mean() for style in styles]
    assert 2 <= sum(inverted) <= 15
    assert all(abs(style.ink.mean() - style.paper.mean()) > 70 for style in styles)
