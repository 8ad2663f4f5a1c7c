"""Every route of this room."""

from fastapi import APIRouter

from chatwright.server.errors import REFUSALS
from chatwright.server.openai import chat, completions, embeddings, moderations, responses, tokens

router = APIRouter(responses=REFUSALS)
for module in (chat, completions, embeddings, moderations, responses, tokens):
    router.include_router(module.router)
