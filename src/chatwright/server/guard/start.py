"""Settings with which a server must not start."""

from typing import Final
from urllib.parse import urlsplit

from chatwright.errors import ConfigError
from chatwright.server.guard.places import is_loopback_name
from chatwright.server.settings import ServerSettings

_WEB: Final = ("http", "https")
_LEAST_KEY: Final = 16  # characters, where strangers may try


def refuse_unsafe_start(settings: ServerSettings) -> None:
    """Refuse settings that would open the server to everybody.

    Raises:
        ConfigError: it would listen to other machines without accounts and without a key; or an origin or the public
            URL is none.
    """
    if not settings.accounts and settings.api_key is None and not is_loopback_name(settings.host):
        raise ConfigError(
            f"without accounts the server would let anybody in who reaches {settings.host}: listen on 127.0.0.1, set "
            "an API key (--api-key), or leave accounts on"
        )
    key = settings.api_key.get_secret_value() if settings.api_key is not None else None
    if key is not None and len(key) < _LEAST_KEY and not is_loopback_name(settings.host):
        raise ConfigError(
            f"the API key has {len(key)} characters; whoever reaches {settings.host} could guess it: give one of at "
            f"least {_LEAST_KEY}, or listen on 127.0.0.1"
        )
    for origin in settings.allowed_origins:
        parts = urlsplit(origin)
        if parts.scheme not in _WEB or not parts.hostname or origin != f"{parts.scheme}://{parts.netloc}":
            raise ConfigError(
                f"allowed_origins has {origin!r}; an origin is written like https://page.example.org, without a path, "
                "and there is none that means all"
            )
    if settings.public_url is not None:
        public = urlsplit(settings.public_url)
        if public.scheme not in _WEB or not public.hostname:
            raise ConfigError(f"public_url is {settings.public_url!r}; write it like https://chat.example.org")
