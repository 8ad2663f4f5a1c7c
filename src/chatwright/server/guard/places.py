"""Which host names and origins are ours.

A page of somebody else's can have its own host name point to this machine ("DNS rebinding") and then talk to us as
if it were ours. It cannot choose what the browser writes into ``Host``: the name is still the attacker's.
"""

import re
from ipaddress import ip_address
from typing import Final, Literal
from urllib.parse import urlsplit

from chatwright.server.settings import ServerSettings

Origin = Literal["own", "allowed", "foreign"]

_HOST: Final = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9_-]+(?:\.[a-z0-9_-]+)*)(?::([0-9]{1,5}))?", re.IGNORECASE)
_HIGHEST_PORT: Final = 65535
_LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def is_loopback_name(host: str) -> bool:
    """Whether a name or address is this machine's own, which no other machine reaches."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Places:
    """The hosts and origins of one server.

    Args:
        settings: name them.
    """

    def __init__(self, settings: ServerSettings) -> None:
        public = urlsplit(settings.public_url or "")
        named = [settings.host, *settings.allowed_hosts, public.hostname or ""]
        self._hosts = _LOOPBACK_NAMES | {name.lower().strip("[]") for name in named if name}
        self._public_origin = f"{public.scheme}://{public.netloc}".lower() if public.netloc else None
        self._allowed = {origin.lower() for origin in settings.allowed_origins}
        # An address cannot be pointed elsewhere, so whoever listens on all of this machine's is asked by any of them.
        self._any_address = not is_loopback_name(settings.host)

    def serves(self, host: str) -> bool:
        """Whether a ``Host`` header names this server."""
        match = _HOST.fullmatch(host)
        if match is None or int(match[2] or 0) > _HIGHEST_PORT:
            return False
        name = match[1].lower().strip("[]")
        return name in self._hosts or (self._any_address and _is_address(name))

    def kind_of(self, origin: str, host: str) -> Origin:
        """Whose a page is.

        Args:
            origin: the header ``Origin``.
            host: the header ``Host`` of the same request.
        """
        origin = origin.lower()
        if origin in (f"http://{host.lower()}", f"https://{host.lower()}") or origin == self._public_origin:
            return "own"
        return "allowed" if origin in self._allowed else "foreign"


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
