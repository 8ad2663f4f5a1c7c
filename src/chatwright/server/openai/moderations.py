"""``POST /v1/moderations``: what the server's own classifier and word lists make of a text."""

from typing import Annotated, Final, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from chatwright.server.backends.base import TokenUsage
from chatwright.server.identifiers import new_id
from chatwright.server.moderation.moderator import Verdict
from chatwright.server.openai.shapes import Request as Body
from chatwright.server.policy import allow
from chatwright.server.principal import Principal
from chatwright.server.services import services

router = APIRouter(tags=["moderation"])

MODEL: Final = "chatwright-moderation"
MAX_TEXTS: Final = 256
# Clients expect every category of OpenAI's. Those that nobody here looks for are never found, and
# ``category_applied_input_types`` says so.
_EXPECTED: Final = (
    *("harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent"),
    *("self-harm", "self-harm/instructions", "self-harm/intent"),
    *("sexual", "sexual/minors", "violence", "violence/graphic"),
)


class TextPart(BaseModel):
    """A part of an input; pictures are not read."""

    model_config = ConfigDict(strict=True, extra="forbid")

    type: Literal["text"]
    text: str


class ModerationRequest(Body):
    """What ``POST /v1/moderations`` takes."""

    model: Annotated[str, StringConstraints(pattern=r"^(chatwright|omni|text)-moderation[0-9a-z-]{0,64}$")] | None = (
        Field(None, description="OpenAI's names are accepted; there is one classifier")
    )
    input: (
        str
        | Annotated[list[str], Field(min_length=1, max_length=MAX_TEXTS)]
        | Annotated[list[TextPart], Field(min_length=1, max_length=MAX_TEXTS)]
    )

    @property
    def texts(self) -> list[str]:
        """One text for each result: parts are one text together."""
        if isinstance(self.input, str):
            return [self.input]
        texts = [part for part in self.input if isinstance(part, str)]
        return texts or ["\n".join(part.text for part in self.input if isinstance(part, TextPart))]


class ModerationResult(BaseModel):
    """What a text was taken for. Word lists may add categories of the administrators' own."""

    flagged: bool
    categories: dict[str, bool]
    category_scores: dict[str, float]
    category_applied_input_types: dict[str, list[str]]

    @classmethod
    def of(cls, verdict: Verdict) -> "ModerationResult":
        """From the moderator's form."""
        names = dict.fromkeys((*_EXPECTED, *verdict.scores, *sorted(verdict.found)))
        return cls(
            flagged=bool(verdict.found),
            categories={name: name in verdict.found for name in names},
            category_scores={name: verdict.scores.get(name, float(name in verdict.found)) for name in names},
            category_applied_input_types={
                name: ["text"] if name in verdict.scores or name in verdict.found else [] for name in names
            },
        )


class Moderations(BaseModel):
    """What ``POST /v1/moderations`` answers: a result for each text."""

    id: str
    model: str
    results: list[ModerationResult]


@router.post("/v1/moderations")
async def create_moderation(
    body: ModerationRequest,
    request: Request,
    response: Response,
    principal: Annotated[Principal, allow("user", scope="inference")],
) -> Moderations:
    """Classify texts. Nothing is written down: asking is not abuse."""
    found = services(request)
    async with found.limiter.admit(principal, MODEL, prompt_tokens=0) as admitted:
        verdicts = await found.moderator.classify(body.texts)
        await admitted.settle(TokenUsage())
    response.headers.update(admitted.headers)
    return Moderations(id=new_id("modr-"), model=MODEL, results=[ModerationResult.of(verdict) for verdict in verdicts])
