"""Who may take how much: windows of requests and tokens, places in the queue, and the record of what was used.

Knows people, keys and models by their ids alone; nothing of chats or of how an answer is made.
"""

from chatwright.server.limits.limiter import Limiter, open_limiter

__all__ = ["Limiter", "open_limiter"]
