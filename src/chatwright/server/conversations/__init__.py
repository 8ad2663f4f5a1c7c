"""Conversations: trees of messages, answers that the server owns while they are written, search, sharing.

Knows the way to an answer (``answering``) and the database; nothing of models, accounts or how a page looks.
"""

from chatwright.server.conversations.room import Conversations, open_conversations

__all__ = ["Conversations", "open_conversations"]
