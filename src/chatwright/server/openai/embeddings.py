"""``POST /v1/embeddings``."""

import base64
from typing import Annotated, Final, Literal

import numpy as np
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field, StringConstraints

from chatwright.server.errors import ApiError
from chatwright.server.openai.naming import errors_named
from chatwright.server.openai.shapes import ModelName, TokenId, as_many
from chatwright.server.openai.shapes import Request as Body
from chatwright.server.policy import allow
from chatwright.server.principal import Principal
from chatwright.server.services import services
from chatwright.server.sse import unless_disconnected

router = APIRouter(tags=["embeddings"])

MAX_INPUTS: Final = 2048
_NAMES: Final = {"messages": "input", "prompt_ids": "input"}
Text = Annotated[str, StringConstraints(min_length=1)]
TokenIds = Annotated[list[TokenId], Field(min_length=1)]


class EmbeddingRequest(Body):
    """What ``POST /v1/embeddings`` takes."""

    model: ModelName
    input: (
        Text
        | TokenIds
        | Annotated[list[Text], Field(min_length=1, max_length=MAX_INPUTS)]
        | Annotated[list[TokenIds], Field(min_length=1, max_length=MAX_INPUTS)]
    )
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = Field(None, ge=1, lt=2**31, description="the model's own only: its vectors are not cut")

    @property
    def inputs(self) -> list[str] | list[list[int]]:
        """One or many, in one form."""
        return as_many(self.input)


class Embedding(BaseModel):
    """The vector of one text: numbers, or their bytes (float32, little-endian) in base64."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class EmbeddingUsage(BaseModel):
    """Tokens that were read."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingList(BaseModel):
    """What ``POST /v1/embeddings`` answers."""

    object: Literal["list"] = "list"
    model: str
    data: list[Embedding]
    usage: EmbeddingUsage


@router.post("/v1/embeddings")
async def create_embeddings(
    body: EmbeddingRequest,
    request: Request,
    response: Response,
    principal: Annotated[Principal, allow("user", scope="inference")],
) -> EmbeddingList:
    """Vectors of texts, each of length 1: similar texts have a large product."""
    with errors_named(_NAMES):
        made = services(request).answering.embed(principal, body.model, body.inputs)
        served, embeddings, headers = await unless_disconnected(request.receive, made)
    size = embeddings.vectors.shape[1]
    if body.dimensions not in (None, size):
        message = f"vectors of {served.name} have {size} dimensions and are not cut; leave dimensions out"
        raise ApiError(400, message, code="invalid_value", param="dimensions")
    response.headers.update(headers)
    vectors = embeddings.vectors.astype("<f4")
    as_text = body.encoding_format == "base64"
    return EmbeddingList(
        model=served.name,
        data=[Embedding(index=index, embedding=_written(vector, as_text)) for index, vector in enumerate(vectors)],
        usage=EmbeddingUsage(prompt_tokens=embeddings.num_tokens, total_tokens=embeddings.num_tokens),
    )


def _written(vector: np.ndarray, as_text: bool) -> list[float] | str:
    return base64.b64encode(vector.tobytes()).decode() if as_text else [float(value) for value in vector]
