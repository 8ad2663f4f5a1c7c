"""To which addresses requests to other servers may go: never where an administrator did not mean them to.

A name is resolved here, its addresses are judged, and the connection goes to the very address that was judged: a name
that answers differently the second time (DNS rebinding) changes nothing.
"""

import asyncio
import ipaddress
import socket
from typing import Final

import httpx

from chatwright.errors import InvalidParameterError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
_NEVER: Final = "link-local, where clouds keep the credentials of their machines"


def checked_url(text: str) -> httpx.URL:
    """A base URL such as ``http://gpu-1:8000/v1``, without a slash at its end.

    Raises:
        InvalidParameterError: it is no plain http or https URL.
    """
    try:
        url = httpx.URL(text.strip())
    except (httpx.InvalidURL, ValueError):
        url = httpx.URL()
    if url.scheme not in ("http", "https") or not url.host:
        raise InvalidParameterError("base_url", "base_url must be an http or https URL such as http://gpu-1:8000/v1")
    if url.userinfo or url.query or url.fragment:
        raise InvalidParameterError(
            "base_url", "base_url may hold no user, password, query or fragment; the key is a setting of its own"
        )
    return url.copy_with(path=url.path.rstrip("/") or "/")


def refusal(address: Address, *, allow_private: bool) -> str | None:
    """Why no request may go to an address; None where it may.

    Args:
        address: that a name stands for.
        allow_private: whether an administrator said that this machine and private networks are meant.
    """
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
        if inner is not None:
            return refusal(inner, allow_private=allow_private)
    if address.is_link_local:
        return _NEVER
    if address.is_multicast or address.is_unspecified or (address.is_reserved and not address.is_loopback):
        return "no address of a machine"
    if not address.is_global and not allow_private:
        return "private; an administrator can allow private addresses for this upstream"
    return None


class GuardedTransport(httpx.AsyncBaseTransport):
    """Sends requests only to addresses that are allowed.

    Args:
        allow_private: see :func:`refusal`.
        transport: carries them out.
    """

    def __init__(self, *, allow_private: bool, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._allow_private = allow_private
        self._transport = transport or httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Judge where it goes, then send it. Raises httpx.ConnectError for what is not allowed."""
        host = request.url.host
        address = await self._allowed(host, request)
        request.extensions = {**request.extensions, "sni_hostname": host}  # the certificate is that of the name
        request.url = request.url.copy_with(host=str(address))  # the Host header was made from the name already
        return await self._transport.handle_async_request(request)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._transport.aclose()

    async def _allowed(self, host: str, request: httpx.Request) -> Address:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise httpx.ConnectError("the name of the upstream cannot be resolved", request=request) from error
        reasons: list[str] = []
        for _, _, _, _, place in found:
            address = ipaddress.ip_address(str(place[0]).partition("%")[0])
            reason = refusal(address, allow_private=self._allow_private)
            if reason is None:
                return address
            reasons.append(reason)
        raise httpx.ConnectError(f"the address of the upstream is {reasons[0]}", request=request)
