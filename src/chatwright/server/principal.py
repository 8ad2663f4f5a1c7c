"""Who asks: the result of authentication, and the only thing that policies and services look at."""

from dataclasses import dataclass
from typing import Final, Literal

Role = Literal["anonymous", "user", "admin"]
Channel = Literal["none", "session", "key", "local"]
Language = Literal["en", "zh"]


@dataclass(frozen=True, slots=True)
class Principal:
    """Whoever sent a request.

    Attributes:
        user_id: of the account; empty for anonymous.
        name: of the account.
        role: what the account may do.
        channel: how it was recognised: a session's cookie, an API key, or as the one user of a server without accounts
            (``local``).
        key_id: of the API key, for limits and the record of its use.
        session_id: of the session.
        scopes: what the key is for (see :data:`SCOPES`); a session has all.
        language: in which refusals are worded.
        address: from which the request came, for the audit log and limits of anonymous requests.
        off_record: whether what is written here is kept nowhere, as in a temporary chat.
    """

    user_id: str = ""
    name: str = ""
    role: Role = "anonymous"
    channel: Channel = "none"
    key_id: str | None = None
    session_id: str | None = None
    scopes: frozenset[str] = frozenset()
    language: Language = "en"
    address: str = ""
    off_record: bool = False

    @property
    def is_admin(self) -> bool:
        """Whether the account may administer the server."""
        return self.role == "admin"

    def say(self, english: str, chinese: str) -> str:
        """The text in the person's language; both stand side by side in the code, so neither is forgotten."""
        return chinese if self.language == "zh" else english


NOBODY: Final = Principal()  # whoever asks before anybody has looked who it is

# What an API key may be for. "inference": chat, completions, responses, embeddings, tokenize, moderations, models.
# "files" and "fine_tuning": the API of these names. "conversations": the data behind the page. "admin": administration,
# for keys of admins only.
SCOPES: tuple[str, ...] = ("inference", "files", "fine_tuning", "conversations", "admin")
