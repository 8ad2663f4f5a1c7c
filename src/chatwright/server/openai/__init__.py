"""OpenAI's API under /v1: its shapes over :mod:`chatwright.server.answering`. Knows nothing of engines or databases'
other tables; what it refuses, it refuses as OpenAI's own clients expect."""
