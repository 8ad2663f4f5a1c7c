"""The one way to an answer, for every API. Knows backends by their protocol; nothing of HTTP or of conversations."""

from chatwright.server.answering.admitted import AdmittedAnswer, PromptScores
from chatwright.server.answering.answering import Answering
from chatwright.server.answering.protocols import (
    Admission,
    Limits,
    Models,
    Moderation,
    Privacy,
    Served,
)

__all__ = [
    "Admission",
    "AdmittedAnswer",
    "Answering",
    "Limits",
    "Models",
    "Moderation",
    "Privacy",
    "PromptScores",
    "Served",
]
