"""The policy: what is looked for, what is done when it is found, and how an answer is watched while it is written."""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import anyio.to_thread

from chatwright.safety.moderation import WordMatcher
from chatwright.server.accounts import RuntimeSettings
from chatwright.server.backends.base import Piece
from chatwright.server.database import Database
from chatwright.server.errors import ApiError
from chatwright.server.moderation.classifiers import FolderClassifier, TextClassifier, open_classifier
from chatwright.server.moderation.output import Watch
from chatwright.server.moderation.record import Direction, ModerationRecord
from chatwright.server.moderation.word_lists import Action, Listed, WordLists
from chatwright.server.principal import Principal
from chatwright.server.privacy import PrivacyPolicy
from chatwright.server.settings import ServerSettings

log = logging.getLogger(__name__)

_ABUSE: Final = 0.5
_EXCERPT: Final = 300  # characters
_AT_ONCE: Final = 500  # characters that are read on the event loop: a thread takes longer than reading them


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a text was taken for.

    Attributes:
        scores: of each category, from 0 to 1.
        found: the categories it counts as; those of word lists among them.
        blocked: whether a word list says that such text is blocked.
    """

    scores: dict[str, float] = field(default_factory=dict)
    found: frozenset[str] = frozenset()
    blocked: bool = False


class Moderator:
    """Implements :class:`~chatwright.server.answering.Moderation`.

    Args:
        classifier: scores texts.
        word_lists: of the administrators.
        record: of what was found.
        runtime: the policy.
        privacy: what of a text may be written down.
    """

    def __init__(
        self,
        classifier: TextClassifier,
        word_lists: WordLists,
        record: ModerationRecord,
        runtime: RuntimeSettings,
        privacy: PrivacyPolicy,
    ) -> None:
        self.word_lists = word_lists
        self.record = record
        self._classifier = classifier
        self._runtime = runtime
        self._privacy = privacy

    async def classify(self, texts: Sequence[str]) -> list[Verdict]:
        """What each text is taken for, whatever the policy is."""
        matcher = await self.word_lists.matcher()
        return [await self._judge(matcher, text) for text in texts]

    async def check_input(self, principal: Principal, model: str, texts: tuple[str, ...]) -> None:
        """Read what somebody asks.

        Raises:
            ApiError: 400, ``content_policy_violation``, for what is blocked; what is flagged is written down alone.
        """
        policy = (await self._runtime.values()).moderation
        if policy == "off":
            return
        for text, verdict in zip(texts, await self.classify(texts), strict=True):
            if not verdict.found:
                continue
            action: Action = "block" if policy == "block" or verdict.blocked else "flag"
            await self._write_down(principal, model, "input", action, verdict, text)
            if action == "block":
                raise _refused(principal, verdict)

    async def watch_output(
        self, principal: Principal, model: str, pieces: AsyncIterator[Piece]
    ) -> AsyncIterator[Piece]:
        """The pieces as they may be shown.

        Where something can be blocked, a sentence is held back until it is read; where answers are flagged alone, they
        are shown at once. What is blocked ends with the finish reason ``content_filter``.
        """
        policy = (await self._runtime.values()).moderation
        matcher = await self.word_lists.matcher()
        if policy == "off":
            async for piece in pieces:
                yield piece
            return
        holds_back = policy == "block" or any(listed.action == "block" for listed in matcher.labels)
        watch = Watch(holds_back=holds_back)
        async for piece in pieces:
            if watch.is_ended(piece.index):
                continue
            text = watch.take(piece)
            blocked = False
            if text is not None:
                verdict = await self._judge(matcher, text)
                if verdict.found:
                    blocked = policy == "block" or verdict.blocked
                    await self._write_down(principal, model, "output", "block" if blocked else "flag", verdict, text)
            for shown in watch.give(piece.index, read=text is not None, blocked=blocked):
                yield shown

    async def may_show_excerpts(self) -> bool:
        """Whether administrators may read what people wrote."""
        return await self._privacy.admins_may_read()

    async def _judge(self, matcher: WordMatcher[Listed], text: str) -> Verdict:
        if len(text) <= _AT_ONCE and not isinstance(self._classifier, FolderClassifier):
            return self._read(matcher, text)
        return await anyio.to_thread.run_sync(self._read, matcher, text)

    def _read(self, matcher: WordMatcher[Listed], text: str) -> Verdict:
        scores = self._classifier.scores(text)
        found = {name for name, score in scores.items() if score >= _ABUSE}
        listed = {match.label for match in matcher.find(text)}
        return Verdict(
            scores=scores | {word.category: 1.0 for word in listed},
            found=frozenset(found | {word.category for word in listed}),
            blocked=any(word.action == "block" for word in listed),
        )

    async def _write_down(
        self, principal: Principal, model: str, direction: Direction, action: Action, verdict: Verdict, text: str
    ) -> None:
        found = {name: verdict.scores[name] for name in sorted(verdict.found)}
        excerpt = ""
        if not principal.off_record and await self.may_show_excerpts():
            excerpt = await anyio.to_thread.run_sync(self._privacy.for_storage, text[:_EXCERPT])
        try:
            await self.record.add(principal, model, direction, action, found, excerpt)
        except Exception:  # an answer is not spoiled by a database that cannot be written to
            log.exception("what moderation found could not be written down")


@asynccontextmanager
async def open_moderator(
    settings: ServerSettings, database: Database, runtime: RuntimeSettings, privacy: PrivacyPolicy
) -> AsyncIterator[Moderator]:
    """The moderator of a server.

    Raises:
        ConfigError: the folder of the administrators' own classifier holds none.
    """
    classifier = await anyio.to_thread.run_sync(open_classifier, settings.moderation_model)
    yield Moderator(classifier, WordLists(database), ModerationRecord(database), runtime, privacy)


def _refused(principal: Principal, verdict: Verdict) -> ApiError:
    if "self-harm" in verdict.found:  # who writes this needs people, not a rule
        message = principal.say(
            "You seem to be going through something very hard. Please talk to somebody you trust, or to a crisis line; "
            "findahelpline.com lists them by country. If you are in danger now, call the emergency number.",
            "你似乎正经历非常艰难的时刻。请和你信任的人谈谈，或拨打心理援助热线（中国大陆：12356）。"
            "如有紧急危险，请立即拨打 110 或 120。",
        )
    else:
        message = principal.say(
            "This cannot be answered here: it goes against the rules of this server.",
            "此内容违反本服务器的规则，无法回答。",
        )
    return ApiError(400, message, code="content_policy_violation")
