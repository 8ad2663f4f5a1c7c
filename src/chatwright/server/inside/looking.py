"""From a kept answer to the view inside it: whose it is, what the model was asked, and its turn among the others."""

import anyio

from chatwright.errors import ContextLengthError
from chatwright.server.answering import Limits, Models
from chatwright.server.backends.base import TokenUsage
from chatwright.server.backends.inside import InsideRequest, SeesInside, WrittenAnswer
from chatwright.server.conversations import messages, repository
from chatwright.server.conversations.prompts import chat_request, prompt_of
from chatwright.server.database import Database
from chatwright.server.database.tables import Conversation, MessageRow
from chatwright.server.errors import ApiError
from chatwright.server.inside.schemas import InsideTopics, InsideView
from chatwright.server.principal import Principal


async def view_inside(
    database: Database, models: Models, limits: Limits, principal: Principal, message_id: str, topics: InsideTopics
) -> InsideView:
    """Look inside an answer.

    It takes a turn among the answers that the model writes, and counts as a request of as many tokens as are read.

    Raises:
        ApiError: 404; 400 for what is no answer, is too long, or was written elsewhere; 409 while it is being written;
            429 and 503 as for an answer.
        ChatwrightError: as :meth:`SeesInside.inside`.
    """
    async with database.read() as session:
        row = await messages.get(session, principal.user_id, message_id)
        conversation = await repository.get(session, principal.user_id, row.conversation_id)
        branch = await messages.branch(session, row.conversation_id, row.id)
    _check(principal, row)
    served = await models.find(_model_of(conversation, row), principal)
    if not isinstance(served.backend, SeesInside):
        raise ApiError(
            400,
            principal.say(
                f"{served.name} runs on another server, which does not show a model's inside; "
                "choose a model of this server",
                f"模型 {served.name} 运行在其他服务器上，无法查看其内部；请选择本服务器上的模型",
            ),
            code="unsupported_by_model",
            param="model",
        )
    request = InsideRequest(
        chat=chat_request(prompt_of(conversation.system_prompt, branch[:-1]), row.sampling),
        answer=WrittenAnswer(row.content, row.reasoning, is_ended=_is_ended(row)),
        tokens=topics.tokens,
        attention=topics.attention.wish() if topics.attention else None,
        gaze=topics.gaze.position if topics.gaze else None,
        lens=topics.lens.position if topics.lens else None,
    )
    tokens = await served.backend.count(request.chat.messages)
    async with limits.admit(principal, served.name, prompt_tokens=tokens) as admitted:
        used = TokenUsage()
        try:
            inside = await served.backend.inside(request)
            used = TokenUsage(prompt=len(inside.ids))
        except ContextLengthError as error:
            raise _too_long(principal, error) from None
        finally:
            with anyio.CancelScope(shield=True):
                await admitted.settle(used)
    same_version = row.model_version == served.backend.version
    # Thousands of tokens with their alternatives take longer than others should wait for the event loop.
    return await anyio.to_thread.run_sync(
        lambda: InsideView.of(inside, topics, model=served.name, same_version=same_version)
    )


def _check(principal: Principal, row: MessageRow) -> None:
    if row.status == "generating":
        raise ApiError(
            409,
            principal.say(
                "the answer is still being written; wait for its end, or stop it",
                "回答仍在生成中；请等待其结束，或将其停止",
            ),
            code="still_generating",
        )
    if row.role != "assistant" or not (row.content or row.reasoning):
        raise ApiError(
            400,
            principal.say("only answers have an inside to be seen", "只能查看回答的内部"),
            code="not_an_answer",
            param="message_id",
        )


def _model_of(conversation: Conversation, row: MessageRow) -> str | None:
    """Who wrote it; of what was imported, who would answer here: that model never was on this server."""
    return conversation.model if row.origin == "imported" else row.model or conversation.model


def _is_ended(row: MessageRow) -> bool:
    """Whether the model itself ended the answer, as far as can be told: a stop text of the person ends it likewise."""
    return row.origin == "generated" and row.finish_reason == "stop" and not row.sampling.get("stop")


def _too_long(principal: Principal, error: ContextLengthError) -> ApiError:
    return ApiError(
        400,
        principal.say(
            f"{error}; look inside an earlier answer, or a shorter conversation",
            f"该回答及此前的对话共 {error.prompt_tokens:,} 个词元，而内部视图最多 {error.limit:,} 个；"
            "请查看更早的回答或较短的对话",
        ),
        code="context_length_exceeded",
        param="message_id",
    )
