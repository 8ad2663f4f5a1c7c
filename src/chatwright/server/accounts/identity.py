"""What an identity provider vouches for. Needs no extra, unlike asking one."""

from dataclasses import dataclass


class ProviderError(Exception):
    """The provider cannot be asked, or what it says cannot be believed. The text is for the log."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who somebody is at an identity provider: issuer and subject. Name and address are only what it calls them.

    Attributes:
        proved_ms: when the provider last had the person prove who it is; None where it does not say.
    """

    issuer: str
    subject: str
    name: str = ""
    email: str | None = None
    proved_ms: int | None = None
