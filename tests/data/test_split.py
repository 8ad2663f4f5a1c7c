"""The held-out part depends on a row's content and the seed alone."""

import pytest

from chatwright.chat import Message
from chatwright.data.rows import Preference, Rated, Row, Text
from chatwright.data.split import is_held_out, split_rows
from chatwright.errors import InvalidParameterError

ROWS: list[Row] = [Text(f"document {number}") for number in range(2000)]


def test_every_row_is_on_one_side_in_about_the_right_share() -> None:
    train, held_out = split_rows(ROWS, 0.1, seed=3)
    assert list(held_out) == list(held_out)
    assert set(train) | set(held_out) == set(ROWS)
    assert len(list(train)) + len(list(held_out)) == len(ROWS)
    assert 150 < len(list(held_out)) < 250


def test_a_row_stays_on_its_side_whatever_else_there_is() -> None:
    _, alone = split_rows(ROWS, 0.1, seed=3)
    _, among = split_rows(ROWS[::-1] + [Text("more")] * 3 + ROWS, 0.1, seed=3)
    assert set(alone) == set(among) - {Text("more")}
    _, other = split_rows(ROWS, 0.1, seed=4)
    assert set(alone) != set(other)


def test_more_held_out_keeps_what_was() -> None:
    assert set(split_rows(ROWS, 0.05, seed=0)[1]) <= set(split_rows(ROWS, 0.2, seed=0)[1])
    assert list(split_rows(ROWS, 0.0, seed=0)[1]) == []


def test_answers_to_one_prompt_stay_together() -> None:
    for number in range(50):
        prompt = (Message("user", f"question {number}"),)
        good, bad = (Message("assistant", "good"),), (Message("assistant", "bad"),)
        rows: list[Row] = [Preference(prompt, good, bad), Preference(prompt, bad, good), Rated(prompt, bad, False)]
        assert len({is_held_out(row, 0.5, seed=1) for row in rows}) == 1


def test_what_cannot_be_split_is_said() -> None:
    with pytest.raises(InvalidParameterError, match=r"must be in \[0, 1\)"):
        split_rows(ROWS, 1.0, seed=0)
    with pytest.raises(InvalidParameterError, match="read only once"):
        split_rows(iter(ROWS), 0.1, seed=0)
