"""``/tokenize``, ``/detokenize`` and ``/tokenizer_info``: what a model reads and writes in place of text.

Source:
    The form is that of vLLM's server, which the evaluation harness asks for by these paths.
"""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator

from chatwright.chat import parse_messages
from chatwright.server.answering import Served
from chatwright.server.backends.base import ChatRequest
from chatwright.server.openai.chat_shapes import ChatMessage
from chatwright.server.openai.formats import MAX_TOOLS, Tool
from chatwright.server.openai.naming import errors_named
from chatwright.server.openai.shapes import MAX_MESSAGES, ModelName, TokenId
from chatwright.server.policy import allow
from chatwright.server.principal import Principal
from chatwright.server.services import services

router = APIRouter(tags=["tokens"])


class TokenizeRequest(BaseModel):
    """What ``POST /tokenize`` takes: a text, or a chat to be counted."""

    model_config = ConfigDict(strict=True, extra="forbid")

    model: ModelName | None = None
    prompt: str | None = None
    messages: list[ChatMessage] | None = Field(None, min_length=1, max_length=MAX_MESSAGES)
    tools: list[Tool] | None = Field(None, max_length=MAX_TOOLS)
    add_special_tokens: bool | None = Field(None, description="no effect: text never becomes a control token")

    @model_validator(mode="after")
    def _one(self) -> "TokenizeRequest":
        if (self.prompt is None) == (self.messages is None):
            raise ValueError("give prompt or messages, one of them")
        return self


class Tokenized(BaseModel):
    """What ``POST /tokenize`` answers; of a chat only the count, as the model's template makes the rest."""

    count: int
    max_model_len: int | None
    tokens: list[int] | None


class DetokenizeRequest(BaseModel):
    """What ``POST /detokenize`` takes."""

    model_config = ConfigDict(strict=True, extra="forbid")

    model: ModelName | None = None
    tokens: list[TokenId]


class Detokenized(BaseModel):
    """What ``POST /detokenize`` answers."""

    prompt: str


class TokenizerInfo(BaseModel):
    """What ``GET /tokenizer_info`` answers."""

    tokenizer_class: str = "PreTrainedTokenizerFast"
    vocab_size: int
    bos_token: str | None
    eos_token: str | None
    pad_token: str | None
    chat_template: str


@router.get("/tokenizer_info")
async def tokenizer_info(
    request: Request,
    response: Response,
    principal: Annotated[Principal, allow("user", scope="inference")],
    model: Annotated[ModelName | None, Query()] = None,
) -> TokenizerInfo:
    """The marks of a model's tokenizer and its chat template, for programs that prepare prompts themselves."""
    backend = (await _counted(request, response, principal, model)).backend
    return TokenizerInfo(**asdict(await backend.tokenizer_facts()))


@router.post("/tokenize")
async def tokenize(
    body: TokenizeRequest,
    request: Request,
    response: Response,
    principal: Annotated[Principal, allow("user", scope="inference")],
) -> Tokenized:
    """Token ids of a text, or how many a chat has."""
    served = await _counted(request, response, principal, body.model)
    answering, limit = services(request).answering, served.backend.context_length
    if body.messages is not None:
        messages = parse_messages([message.form() for message in body.messages])
        tools = tuple(tool.model_dump(exclude_none=True) for tool in body.tools or ())
        _, count = await answering.count(principal, served.name, ChatRequest(messages, tools=tools))
        return Tokenized(count=count, max_model_len=limit, tokens=None)
    with errors_named({"messages": "prompt"}):
        _, ids = await answering.encode(principal, served.name, body.prompt or "")
    return Tokenized(count=len(ids), max_model_len=limit, tokens=ids)


@router.post("/detokenize")
async def detokenize(
    body: DetokenizeRequest,
    request: Request,
    response: Response,
    principal: Annotated[Principal, allow("user", scope="inference")],
) -> Detokenized:
    """The text of token ids."""
    backend = (await _counted(request, response, principal, body.model)).backend
    with errors_named({"prompt_ids": "tokens"}):
        return Detokenized(prompt=await backend.decode(body.tokens))


async def _counted(request: Request, response: Response, principal: Principal, model: str | None) -> Served:
    """The model that reads, once the limits have let the request in: no answer is written, but reading costs, too."""
    found = services(request)
    served = await found.answering.served(principal, model)
    response.headers.update(await found.limiter.count(principal, served.name))
    return served
