"""From the parts of a rendered chat to token ids and the mask of what the assistant wrote."""

from collections.abc import Iterable

from chatwright.chat.marks import Place
from chatwright.tokenizer import TextEncoder, Tokenizer

# What Unicode calls white space. Python's str.strip() would also take four control characters, U+001C to U+001F.
_SPACES = "\t\n\v\f\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"


def assemble(
    parts: Iterable[str | int | Place], tokenizer: Tokenizer, encoder: TextEncoder, *, with_mask: bool
) -> tuple[list[int], list[bool] | None]:
    """Encode the text between control tokens and put both together.

    Adjacent text is encoded as one, whoever wrote it, as the model has learnt it.

    Args:
        parts: text, ids of control tokens, and the places where the assistant's words start and end.
        tokenizer: says which control tokens swallow white space beside them.
        encoder: for the text.
        with_mask: whether a mask is wanted; it needs the tokens' places in the text, which cost time.

    Returns:
        The ids, and for each whether it covers a character that the assistant wrote (None without a mask).
    """
    run = _Run(tokenizer, encoder, with_mask)
    for part in parts:
        match part:
            case Place():
                run.inside = part is Place.GENERATION_START
            case str():
                run.text.append(part)
                run.inside_at += bytes([run.inside]) * len(part) if with_mask else b""
            case int():
                run.control(part)
    run.flush(strip_right=False)
    return run.ids, run.mask if with_mask else None


class _Run:
    """The state of :func:`assemble`: what is done, and the text since the last control token."""

    def __init__(self, tokenizer: Tokenizer, encoder: TextEncoder, with_mask: bool) -> None:
        self.ids: list[int] = []
        self.mask: list[bool] = []
        self.inside = False
        self.text: list[str] = []
        self.inside_at = bytearray()  # for each character of the text, whether the assistant wrote it
        self._tokenizer = tokenizer
        self._encoder = encoder
        self._with_mask = with_mask
        self._strip_left = False

    def control(self, token_id: int) -> None:
        strip_left, strip_right = self._tokenizer.strips(self._tokenizer.piece(token_id))
        self.flush(strip_right=strip_left)
        self.ids.append(token_id)
        self.mask.append(self.inside)
        self._strip_left = strip_right

    def flush(self, *, strip_right: bool) -> None:
        text = "".join(self.text)
        dropped = len(text) - len(text.lstrip(_SPACES)) if self._strip_left else 0
        text = text[dropped:].rstrip(_SPACES) if strip_right else text[dropped:]
        at_start = not self.ids
        if text and self._with_mask:
            ids, spans = self._encoder.encode_spans(text, at_start=at_start)
            inside_at = self.inside_at[dropped:]
            # A token that covers no character (an inserted space) belongs with the one after it.
            self.mask += [1 in inside_at[start : max(end, start + 1)] for start, end in spans]
            self.ids += ids
        elif text:
            self.ids += self._encoder.encode(text, at_start=at_start)
        self.text.clear()
        self.inside_at.clear()
