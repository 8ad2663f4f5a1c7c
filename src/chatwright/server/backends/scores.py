"""Log-probabilities of the engine in the form that the API gives out: with the token's text and bytes."""

from collections.abc import Iterable

from chatwright.engine.generation import TokenLogprob
from chatwright.server.backends.base import TokenScore
from chatwright.tokenizer import Tokenizer


def token_score(tokenizer: Tokenizer, token_id: int, logprob: float, top: Iterable[TokenScore] = ()) -> TokenScore:
    """A token by its id, with its text; bytes that are no whole character are spelt as OpenAI does."""
    data = tokenizer.token_bytes(token_id)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = "bytes:" + "".join(f"\\x{byte:02x}" for byte in data)
    return TokenScore(text, data, token_id, logprob, tuple(top))


def scored(tokenizer: Tokenizer, logprob: TokenLogprob) -> TokenScore:
    """A generated or read token with the likeliest ones at its place."""
    top = (token_score(tokenizer, token_id, value) for token_id, value in logprob.top)
    return token_score(tokenizer, logprob.token_id, logprob.logprob, top)
