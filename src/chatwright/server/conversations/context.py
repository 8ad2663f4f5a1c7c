"""How full the model's context is with a conversation."""

from chatwright.server.answering import Answering
from chatwright.server.backends.base import ChatRequest
from chatwright.server.conversations import messages, repository
from chatwright.server.conversations.prompts import prompt_of
from chatwright.server.conversations.schemas import ContextView
from chatwright.server.database import Database
from chatwright.server.principal import Principal


async def context_of(
    database: Database, answering: Answering, principal: Principal, conversation_id: str, leaf_id: str | None
) -> ContextView:
    """Tokens of the branch that ends in ``leaf_id``, or of the one that is shown.

    Raises:
        ApiError: 404; 503 when the model cannot be loaded.
    """
    async with database.read() as session:
        conversation = await repository.get(session, principal.user_id, conversation_id)
        if leaf_id is not None:
            await messages.get(session, principal.user_id, leaf_id, conversation_id=conversation_id)
        branch = await messages.branch(session, conversation_id, leaf_id or conversation.current_id)
    prompt = prompt_of(conversation.system_prompt, branch)
    if prompt:
        served, tokens = await answering.count(principal, conversation.model, ChatRequest(tuple(prompt)))
    else:
        served, tokens = await answering.served(principal, conversation.model), 0
    last = next((row for row in reversed(branch) if row.origin == "generated"), None)
    return ContextView(
        model=served.name,
        prompt_tokens=tokens,
        context_length=served.backend.context_length,
        dropped_turns=last.dropped_turns if last else 0,
    )
