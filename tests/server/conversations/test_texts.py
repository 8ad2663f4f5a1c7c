"""What becomes of texts on their way: titles, and branches as the model gets them."""

import pytest

from chatwright.server.conversations.prompts import prompt_of
from chatwright.server.conversations.titles import MAX_TITLE_CHARS, cleaned_title, title_of_question
from chatwright.server.database.tables import MessageRow


@pytest.mark.parametrize(
    ("written", "title"),
    [
        ('"Blue Skies"', "Blue Skies"),
        ("Title: **Blue Skies**\nBecause you asked about it.", "Blue Skies"),
        ("\n\n# 标题：《天空的颜色》。\n", "天空的颜色"),
        ("…", "…"),
        ('"""', ""),
        ("\ufffdg9,\ufffd tan", ""),
        ("", ""),
    ],
)
def test_titles_of_models_lose_their_decoration(written: str, title: str) -> None:
    assert cleaned_title(written) == title


def test_a_long_question_is_cut_at_a_word_and_a_chinese_one_anywhere() -> None:
    english = title_of_question("  Please explain,\tin simple words, why the sky is blue and sunsets are not\nthanks")
    assert english == "Please explain, in simple words, why the sky is blue and…"
    chinese = title_of_question("天" * 100)
    assert (len(chinese), chinese[-1]) == (MAX_TITLE_CHARS, "…")


def row(role: str, content: str, **more: object) -> MessageRow:
    return MessageRow(role=role, content=content, attachments=[], **more)


def test_turns_alternate_whatever_the_tree_holds() -> None:
    branch = [
        row("system", "of somebody's import"),
        row("user", "one"),
        row("assistant", "", status="failed"),
        row("user", "two"),
        row("assistant", "three"),
        row("tool", "a foreign tool's result"),
        row("assistant", "four"),
        row("user", "five"),
    ]
    assert [(message.role, message.content) for message in prompt_of("", branch)] == [
        ("user", "one\n\ntwo"),
        ("assistant", "three\n\nfour"),
        ("user", "five"),
    ]
