"""The models that are on other servers, and the connections to these."""

from dataclasses import dataclass
from typing import Any

from chatwright.server.backends.upstream import UpstreamBackend
from chatwright.server.backends.upstream_client import UpstreamClient
from chatwright.server.database.tables import ServedModel, Upstream


@dataclass(slots=True)
class _Connection:
    """A connection to another server; ``made_of`` is what it was made of, to notice a change by another process."""

    client: UpstreamClient
    made_of: tuple[Any, ...]


class UpstreamModels:
    """Models by their rows, and one connection to each server, made anew when its row has changed."""

    def __init__(self) -> None:
        self._connections: dict[str, _Connection] = {}
        self._models: dict[tuple[str, str], tuple[_Connection, UpstreamBackend]] = {}

    def model(self, row: ServedModel, upstream: Upstream) -> UpstreamBackend:
        """A row's model on the server that it is on."""
        connection = self._connection(upstream)
        held = self._models.get((row.name, row.source))
        if held is None or held[0] is not connection:
            version = f"{upstream.name}/{row.source}"[:255]
            backend = UpstreamBackend(
                connection.client, row.source, version=version, context_length=row.options.get("context_length")
            )
            held = self._models[row.name, row.source] = (connection, backend)
        return held[1]

    def client(self, upstream: Upstream) -> UpstreamClient:
        """The connection to a server, shared by its models."""
        return self._connection(upstream).client

    async def close(self) -> None:
        """Close every connection; answers in flight end."""
        for _, backend in self._models.values():
            await backend.close()
        for connection in self._connections.values():
            await connection.client.close()

    def _connection(self, upstream: Upstream) -> _Connection:
        made_of = (upstream.base_url, upstream.api_key, upstream.options)
        held = self._connections.get(upstream.id)
        if held is None or held.made_of != made_of:
            # The old one is left to whoever is still reading from it; without references its connections close.
            client = UpstreamClient(
                upstream.base_url,
                upstream.api_key,
                allow_private=upstream.options.get("allow_private") is True,
                read_seconds=upstream.options.get("read_seconds", 300.0),
            )
            held = self._connections[upstream.id] = _Connection(client, made_of)
        return held
