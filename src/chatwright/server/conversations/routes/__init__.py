"""The routes of conversations, thin: what comes in is checked, a service is called, its answer is shaped."""

from fastapi import APIRouter

from chatwright.server.conversations.routes import conversations, folders, messages, shares, temporary
from chatwright.server.errors import REFUSALS

router = APIRouter(responses=REFUSALS)
for module in (conversations, messages, folders, shares, temporary):
    router.include_router(module.router)
