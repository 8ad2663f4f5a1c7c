from hypothesis import given
from hypothesis import strategies as st

from chatwright.engine.stop import StopStrings

TEXTS = st.text(alphabet="ab停🙂", max_size=24)
STRINGS = st.lists(st.text(alphabet="ab停🙂", min_size=1, max_size=5), min_size=1, max_size=4).map(tuple)


def reference(text: str, strings: tuple[str, ...]) -> tuple[str, bool]:
    """Read character by character: the first place where a string is complete ends the text before it."""
    for end in range(1, len(text) + 1):
        starts = [end - len(string) for string in strings if text[:end].endswith(string)]
        if starts:
            return text[: min(starts)], True
    return text, False


def stream(pieces: list[str], strings: tuple[str, ...]) -> tuple[str, bool]:
    stop, shown = StopStrings(strings), ""
    for piece in pieces:
        text, found = stop.push(piece)
        shown += text
        if found:
            return shown, True
    return shown + stop.flush(), False


@given(TEXTS, STRINGS, st.data())
def test_the_same_text_is_shown_however_it_is_cut(text: str, strings: tuple[str, ...], data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert stream(pieces, strings) == reference(text, strings)


@given(st.text(alphabet="ab", max_size=30), STRINGS)
def test_nothing_is_held_back_that_cannot_be_a_beginning(text: str, strings: tuple[str, ...]) -> None:
    stop, shown = StopStrings(strings), ""
    for count, character in enumerate(text, 1):
        piece, found = stop.push(character)
        shown += piece
        if found:
            return
        held = text[len(shown) : count]
        assert shown + held == text[:count]
        assert not held or any(string.startswith(held) for string in strings)


def test_every_split_of_a_stop_string() -> None:
    text, strings = "one two<|stop|>three", ("<|stop|>",)
    for i in range(len(text) + 1):
        for j in range(i, len(text) + 1):
            assert stream([text[:i], text[i:j], text[j:]], strings) == ("one two", True)


def test_a_beginning_that_was_none_is_shown() -> None:
    stop = StopStrings(("END",))
    assert stop.push("an E") == ("an ", False)
    assert stop.push("N") == ("", False)
    assert stop.push("GINE") == ("ENGIN", False)
    assert stop.flush() == "E"
