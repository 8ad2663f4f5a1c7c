"""A response as it is written: its items, and the event for every change to them."""

from collections.abc import Iterator
from typing import Any

from chatwright.server.backends.base import FinishReason, Piece, TokenScore, TokenUsage, ToolCallPiece
from chatwright.server.identifiers import new_id, now_ms
from chatwright.server.openai.responses_shapes import (
    InputDetails,
    OutputDetails,
    ResponseBody,
    ResponseUsage,
)
from chatwright.server.openai.shapes import Logprob

Event = dict[str, Any]


class ResponseWriter:
    """Turns pieces of an answer into items of a response and into events.

    One item is open at a time: thoughts, text, or a call. What belongs to another kind closes it.

    Args:
        body: of the response that has begun; grows.
    """

    def __init__(self, body: ResponseBody) -> None:
        self.body = body
        self._number = 0
        self._open: dict[str, Any] | None = None
        self._call_index = -1
        self._finish: FinishReason = "stop"

    def start(self) -> Iterator[Event]:
        """The first events."""
        yield self._event("response.created", response=self._snapshot())
        yield self._event("response.in_progress", response=self._snapshot())

    def add(self, piece: Piece) -> Iterator[Event]:
        """What the model wrote next."""
        if piece.reasoning:
            yield from self._text("reasoning", piece.reasoning, ())
        if piece.text or (piece.scores and not (piece.reasoning or piece.tool_calls)):
            yield from self._text("message", piece.text, piece.scores or ())
        for part in piece.tool_calls:
            yield from self._call(part)
        self._finish = piece.finish_reason or self._finish

    def finish(self, usage: TokenUsage) -> Iterator[Event]:
        """The last events; the body is whole before the last one is made, so that it can be stored first."""
        body = self.body
        cut = {"length": "max_output_tokens", "content_filter": "content_filter"}.get(self._finish)
        if self._open is None and not body.output:  # the model ended at once: an empty message, as clients expect
            yield from self._begin("message")
        yield from self._close("incomplete" if cut else "completed")
        body.usage = ResponseUsage(
            input_tokens=usage.prompt,
            input_tokens_details=InputDetails(cached_tokens=usage.cached),
            output_tokens=usage.completion,
            output_tokens_details=OutputDetails(reasoning_tokens=usage.reasoning),
            total_tokens=usage.prompt + usage.completion,
        )
        body.completed_at = now_ms() // 1000
        body.status = "incomplete" if cut else "completed"
        body.incomplete_details = {"reason": cut} if cut else None

    def end(self) -> Event:
        """The last event, with the whole response."""
        return self._event(f"response.{self.body.status}", response=self._snapshot())

    def fail(self, message: str, code: str) -> Event:
        """The last event of a response that could not be finished."""
        self.body.status = "failed"
        self.body.error = {"code": code, "message": message}
        return self.end()

    def _text(self, kind: str, text: str, scores: tuple[TokenScore, ...]) -> Iterator[Event]:
        if self._open is None or self._open["type"] != kind:
            yield from self._begin(kind)
        assert self._open is not None
        part = self._open["content"][0]
        part["text"] += text
        if kind == "reasoning":
            yield self._event("response.reasoning_text.delta", **self._where(), delta=text)
            return
        logprobs = [Logprob.of(score).model_dump() for score in scores]
        part["logprobs"] += logprobs
        yield self._event("response.output_text.delta", **self._where(), delta=text, logprobs=logprobs)

    def _call(self, piece: ToolCallPiece) -> Iterator[Event]:
        if self._open is None or self._open["type"] != "function_call" or self._call_index != piece.index:
            yield from self._close()
            self._call_index = piece.index
            call_id = piece.id or new_id("call_")
            yield from self._opened(
                {
                    "id": new_id("fc_"),
                    "type": "function_call",
                    "call_id": call_id,
                    "name": piece.name or "",
                    "arguments": "",
                }
            )
        assert self._open is not None
        self._open["arguments"] += piece.arguments
        if piece.arguments:
            where = self._where()
            del where["content_index"]
            yield self._event("response.function_call_arguments.delta", **where, delta=piece.arguments)

    def _begin(self, kind: str) -> Iterator[Event]:
        """Open an item of text: the item, and the one part that it has."""
        yield from self._close()
        if kind == "reasoning":
            part: dict[str, Any] = {"type": "reasoning_text", "text": ""}
            yield from self._opened({"id": new_id("rs_"), "type": kind, "summary": [], "content": []})
        else:
            part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
            yield from self._opened({"id": new_id("msg_"), "type": kind, "role": "assistant", "content": []})
        assert self._open is not None
        yield self._event("response.content_part.added", **self._where(), part=dict(part))
        self._open["content"].append(part)

    def _opened(self, item: dict[str, Any]) -> Iterator[Event]:
        item["status"] = "in_progress"
        self._open = item
        self.body.output.append(item)
        yield self._event("response.output_item.added", output_index=len(self.body.output) - 1, item=dict(item))

    def _close(self, status: str = "completed") -> Iterator[Event]:
        """Finish the open item, if there is one."""
        if self._open is None:
            return
        item, where = self._open, self._where()
        item["status"] = status
        match item["type"]:
            case "message":
                part = item["content"][0]
                text, logprobs = part["text"], part["logprobs"]
                yield self._event("response.output_text.done", **where, text=text, logprobs=logprobs)
                yield self._event("response.content_part.done", **where, part=part)
            case "reasoning":
                part = item["content"][0]
                yield self._event("response.reasoning_text.done", **where, text=part["text"])
                yield self._event("response.content_part.done", **where, part=part)
            case _:
                del where["content_index"]
                called = {"name": item["name"], "arguments": item["arguments"]}
                yield self._event("response.function_call_arguments.done", **where, **called)
        yield self._event("response.output_item.done", output_index=where["output_index"], item=item)
        self._open = None

    def _where(self) -> dict[str, Any]:
        assert self._open is not None
        return {"item_id": self._open["id"], "output_index": len(self.body.output) - 1, "content_index": 0}

    def _snapshot(self) -> dict[str, Any]:
        return self.body.model_dump()

    def _event(self, kind: str, **fields: Any) -> Event:
        numbered = {"type": kind, "sequence_number": self._number, **fields}
        self._number += 1
        return numbered
