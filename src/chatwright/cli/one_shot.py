"""One question, one answer: streamed as text, or as one JSON object for programs."""

from typing import TYPE_CHECKING

from chatwright.cli.language import say
from chatwright.cli.output import load, print_json, print_note

if TYPE_CHECKING:
    from chatwright.session import Chat, Reply


def answer(chat: "Chat", question: str, *, as_json: bool, stats: bool) -> None:
    """Ask ``question`` and print the answer."""
    load(chat)
    if as_json:
        reply = chat.ask(question)
        print_json(as_object(chat.model_name, reply))
    else:
        ends_line = False
        for piece in chat.stream(question):
            print(piece, end="", flush=True)
            ends_line = piece.endswith("\n")
        if not ends_line:
            print(flush=True)
        assert chat.last_reply is not None
        reply = chat.last_reply
        if reply.finish_reason == "length":
            print_note(say("(cut off: the token limit is reached)", "（已截断：达到 token 上限）"))
    if stats:
        print_note(statistics(reply))


def as_object(model: str, reply: "Reply") -> dict[str, object]:
    """What ``--json`` prints."""
    return {
        "model": model,
        "answer": reply.text,
        "finish_reason": reply.finish_reason,
        "usage": {
            "prompt_tokens": reply.prompt_tokens,
            "cached_tokens": reply.cached_tokens,
            "completion_tokens": reply.completion_tokens,
            "total_tokens": reply.prompt_tokens + reply.completion_tokens,
        },
        "dropped_turns": reply.dropped_turns,
        "timings": {
            "first_token_s": round(reply.first_token_s, 4),
            "total_s": round(reply.total_s, 4),
            "tokens_per_second": round(reply.tokens_per_second, 1) if reply.tokens_per_second else None,
        },
    }


def statistics(reply: "Reply") -> str:
    """One line about what an answer took."""
    speed = f"{reply.tokens_per_second:.0f}" if reply.tokens_per_second else "–"
    return say(
        f"{reply.prompt_tokens} prompt tokens ({reply.cached_tokens} remembered) · {reply.completion_tokens} generated "
        f"· first after {reply.first_token_s:.2f} s · {speed} tokens/s",
        f"提示 {reply.prompt_tokens} token（{reply.cached_tokens} 来自缓存）· 生成 {reply.completion_tokens} · "
        f"首字 {reply.first_token_s:.2f} 秒 · {speed} token/秒",
    )
