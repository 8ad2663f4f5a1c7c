"""What may be asked and answered: a classifier and word lists read both, administrators read what they found."""

from chatwright.server.moderation.moderator import Moderator, Verdict, open_moderator

__all__ = ["Moderator", "Verdict", "open_moderator"]
