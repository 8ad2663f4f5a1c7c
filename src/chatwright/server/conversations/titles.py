"""Titles of conversations: at first the beginning of the question, then what the model makes of it."""

import logging
import re
from typing import Final

from chatwright.chat import Message
from chatwright.errors import ChatwrightError
from chatwright.server.answering import Models, Privacy
from chatwright.server.backends.base import ChatRequest
from chatwright.server.principal import Principal

log = logging.getLogger(__name__)

MAX_TITLE_CHARS: Final = 60
_MAX_TITLE_TOKENS: Final = 24
_READ_CHARS: Final = 1_000  # of the question and of the answer: a title needs no more
_DECORATION: Final = " \t\"'“”‘’「」『』《》*_#`.。:：-"


def title_of_question(question: str) -> str:
    """The first line, cut at a word where there are words."""
    line = next((line for line in question.splitlines() if line.strip()), "")
    words = re.sub(r"\s+", " ", line).strip()
    if len(words) <= MAX_TITLE_CHARS:
        return words
    cut = words[: MAX_TITLE_CHARS - 1]
    head, space, _ = cut.rpartition(" ")
    return f"{head if space and len(head) > MAX_TITLE_CHARS // 2 else cut}…"


def cleaned_title(text: str) -> str:
    """What a model wrote, as one short line without the marks that models like to put around it; may be empty.

    A model that writes pieces of characters has nothing to say: the question is the better title.
    """
    if "\ufffd" in text:
        return ""
    line = next((line for line in text.splitlines() if line.strip(_DECORATION)), "")
    line = re.sub(r"^(title|标题)\s*[:：]\s*", "", line.strip(_DECORATION), flags=re.IGNORECASE)
    return title_of_question(line.strip(_DECORATION))


class TitleMaker:
    """Asks the model for a title.

    It does not count against the person's limits: nobody asked for it, and there is one per conversation, a few tokens
    long.
    """

    def __init__(self, models: Models, privacy: Privacy) -> None:
        self._models = models
        self._privacy = privacy

    async def make(self, principal: Principal, model: str | None, question: str, answer: str) -> str:
        """A title; empty when the model has none to offer.

        Args:
            principal: whose conversation it is; the prompt shares no cache with anybody else's.
            model: by which the conversation was answered.
            question, answer: of the first turn.
        """
        is_chinese = re.search(r"[\u4e00-\u9fff]", question) is not None
        wish = (
            "请用不超过十五个字概括上面对话的主题，只写标题本身。"
            if is_chinese
            else "Give this conversation a title of at most six words. Write only the title."
        )
        request = ChatRequest(
            messages=(
                Message("user", question[:_READ_CHARS]),
                Message("assistant", answer[:_READ_CHARS] or "…"),
                Message("user", wish),
            ),
            sampling={"max_tokens": _MAX_TITLE_TOKENS, "temperature": 0},
            context_policy="drop_oldest",
            template_variables={"enable_thinking": False},
            owner=principal.user_id,
        )
        try:
            served = await self._models.find(model, principal)
            if served.is_upstream:
                request = self._privacy.for_upstream(request)
            written = await served.backend.chat(request)
            try:
                text = "".join([piece.text async for piece in written])
            finally:
                written.cancel()
        except ChatwrightError as error:
            log.info("no title was made: %s", type(error).__name__)
            return ""
        return cleaned_title(text)
