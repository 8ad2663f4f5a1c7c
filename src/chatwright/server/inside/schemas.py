"""What the route of the view inside takes and answers."""

import math
from typing import Annotated

from pydantic import BaseModel, Field

from chatwright.model.inside import Gaze, HeadWish, Place
from chatwright.server.backends.inside import MAX_TOKENS, Inside
from chatwright.server.conversations.schemas import Request

MAX_ROWS = 64  # of attention: with 4,096 tokens to look at, a row has 40 kB of JSON

Position = Annotated[int, Field(ge=0, lt=MAX_TOKENS)]


class AttentionWish(Request):
    """The attention of one head: ``count`` tokens that look, from position ``first``."""

    layer: int = Field(ge=0, lt=10_000)
    head: int = Field(ge=0, lt=10_000)
    first: Position = 0
    count: int = Field(default=MAX_ROWS, ge=1, le=MAX_ROWS)

    def wish(self) -> HeadWish:
        """The same in the words of the model."""
        return HeadWish(self.layer, self.head, self.first, self.count)


class GazeWish(Request):
    """Where every head looks from one token."""

    position: Position


class LensWish(Request):
    """What each layer says in place of one token."""

    position: int = Field(ge=1, lt=MAX_TOKENS)


class InsideTopics(Request):
    """What to look at. Positions count the tokens of prompt and answer, from 0."""

    tokens: bool = Field(default=True, description="the text's tokens, and how probable those of the answer were")
    attention: AttentionWish | None = None
    gaze: GazeWish | None = None
    lens: LensWish | None = None


class TokenView(BaseModel):
    """A token. ``text`` is null where its bytes are no whole characters."""

    id: int
    text: str | None
    bytes: list[int]
    control: bool = Field(description="one that only the chat template or the model can write")

    @classmethod
    def of(cls, inside: Inside, token_id: int) -> "TokenView":
        """The token by its id."""
        data = inside.pieces[token_id]
        try:
            text = data.decode()
        except UnicodeDecodeError:
            text = None
        return cls(id=token_id, text=text, bytes=list(data), control=token_id in inside.control)


class AlternativeView(BaseModel):
    """A token that might have stood there."""

    token: TokenView
    probability: float


class PlaceView(BaseModel):
    """A token's place: how probable the token was there, and what else was. Without temperature and other settings."""

    probability: float
    rank: int = Field(description="1 for the likeliest token")
    entropy: float = Field(description="in bits: how undecided the model was")
    alternatives: list[AlternativeView] = Field(description="the likeliest tokens, best first")

    @classmethod
    def of(cls, inside: Inside, place: Place) -> "PlaceView":
        """The place with its tokens' texts."""
        return cls(
            probability=math.exp(place.logprob),
            rank=place.rank,
            entropy=place.entropy,
            alternatives=[
                AlternativeView(token=TokenView.of(inside, token), probability=math.exp(logprob))
                for token, logprob in place.top
            ],
        )


class TokensView(BaseModel):
    """The text as the tokenizer cuts it; ``places`` belong to the tokens from ``answer_start`` on."""

    tokens: list[TokenView]
    places: list[PlaceView]


class AttentionView(BaseModel):
    """A head's attention weights: a row for each token that looks, with the weights of all tokens up to itself."""

    layer: int
    head: int
    first: int = Field(description="position of the token of the first row")
    rows: list[list[float]]


class GazeView(BaseModel):
    """Where a head looks most, beside the text's first token, on which heads that find nothing rest."""

    position: int
    weight: float
    rest: float = Field(description="weight of the text's first token")

    @classmethod
    def of(cls, gaze: Gaze) -> "GazeView":
        """The same, rounded to what can be seen."""
        return cls(position=gaze.position, weight=round(gaze.weight, 5), rest=round(gaze.rest, 5))


class InsideView(BaseModel):
    """What was found; what was not asked for is null."""

    model: str
    same_version: bool = Field(description="whether these very weights wrote the answer")
    num_layers: int
    num_heads: int
    num_tokens: int = Field(description="of prompt and answer")
    answer_start: int = Field(description="position of the answer's first token")
    dropped_turns: int
    tokens: TokensView | None
    attention: AttentionView | None
    gaze: list[list[GazeView]] | None = Field(description="by layer, by head")
    lens: list[PlaceView] | None = Field(description="of the embedding alone, then of each layer")

    @classmethod
    def of(cls, inside: Inside, wish: InsideTopics, *, model: str, same_version: bool) -> "InsideView":
        """What was found, as it is shown."""
        found = inside.findings
        return cls(
            model=model,
            same_version=same_version,
            num_layers=inside.num_layers,
            num_heads=inside.num_heads,
            num_tokens=len(inside.ids),
            answer_start=inside.answer_start,
            dropped_turns=inside.dropped_turns,
            tokens=None
            if found.places is None
            else TokensView(
                tokens=[TokenView.of(inside, token) for token in inside.ids],
                places=[PlaceView.of(inside, place) for place in found.places],
            ),
            attention=None
            if found.attention is None or wish.attention is None
            else AttentionView(
                layer=wish.attention.layer,
                head=wish.attention.head,
                first=wish.attention.first,
                rows=[[round(weight, 5) for weight in row] for row in found.attention],
            ),
            gaze=None if found.gaze is None else [[GazeView.of(head) for head in layer] for layer in found.gaze],
            lens=None if found.lens is None else [PlaceView.of(inside, place) for place in found.lens],
        )
