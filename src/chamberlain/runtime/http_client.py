"""Requests to addresses that a setting or somebody else chose: never into networks that are closed to them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from errno import EACCES
from ipaddress import IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from aiohttp import AddrInfoType, ClientResponse, ClientSession

TIMEOUT: Final = 10.0
"""Seconds for a whole call, the look-up of the name included."""
MAX_BYTES: Final = 256 * 1024
"""Bytes of an answer that are read at most."""
MAX_REDIRECTS: Final = 3
_CHUNK: Final = 16 * 1024


class OutboundError(Exception):
    """A call got no answer that can be used; the message says why, without anything secret."""


class OutboundAnswer(msgspec.Struct, frozen=True):
    """What came back."""

    status: int
    body: bytes


class OutboundStream(msgspec.Struct, frozen=True):
    """The head of an answer, header names in lower case, and its body as it comes.

    `chunks` raises OutboundError where the connection breaks. Whoever has it awaits `close()` when done.
    """

    status: int
    headers: Mapping[str, str]
    chunks: AsyncIterator[bytes]
    close: Callable[[], Awaitable[None]]


class AddressRules:
    """Which addresses may be called."""

    def __init__(self, blocked: Sequence[str], allowed: Sequence[str]) -> None:
        self._blocked = [ip_network(network, strict=False) for network in blocked]
        self._allowed = [ip_network(network, strict=False) for network in allowed]

    def permit(self, address: str) -> bool:
        """Whether this IP address may be called; one of IPv4 inside IPv6 counts as the one of IPv4."""
        ip = ip_address(address.partition("%")[0])
        if isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped
        if any(ip in network for network in self._allowed):
            return True
        return not any(ip in network for network in self._blocked)

    def make_socket(self, found: AddrInfoType) -> socket.socket:
        """A socket for a connection to an address, however it was found; raises PermissionError for a closed one."""
        family, kind, protocol, _, where = found
        address: Any = where[0]
        if not self.permit(address):
            raise PermissionError(EACCES, "outbound.blocked_addresses closes this address", address)
        return socket.socket(family, kind, protocol)


class HttpClient:
    """Calls other servers. The library is imported, and connections are kept, from the first call on."""

    def __init__(self, rules: AddressRules, *, verify_certificates: bool = True) -> None:
        self._rules = rules
        self._verify = verify_certificates
        self._session: ClientSession | None = None

    async def post_form(
        self, url: str, fields: Mapping[str, str], *, timeout: float = TIMEOUT, max_bytes: int = MAX_BYTES
    ) -> OutboundAnswer:
        """POST a form and give the answer, whatever its status; a redirect is not followed.

        Raises:
            OutboundError: the address is closed to such calls, or there was no answer within `timeout` seconds,
                or none of at most `max_bytes`.
        """
        return await self._call("POST", url, timeout, max_bytes, data=dict(fields))

    async def send_json(
        self,
        method: str,
        url: str,
        body: bytes | None,
        *,
        token: str | None = None,
        timeout: float = TIMEOUT,
        max_bytes: int = MAX_BYTES,
    ) -> OutboundAnswer:
        """Send JSON and a bearer token, where there are any; as `post_form` in all else."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        return await self._call(method, url, timeout, max_bytes, data=body, headers=headers)

    async def _call(
        self, method: str, url: str, timeout: float, max_bytes: int, **what: Any
    ) -> OutboundAnswer:
        import aiohttp

        limit = aiohttp.ClientTimeout(total=timeout)
        try:
            async with self._open().request(
                method, url, timeout=limit, allow_redirects=False, **what
            ) as answer:
                body = bytearray()
                async for chunk in answer.content.iter_chunked(_CHUNK):
                    body += chunk
                    if len(body) > max_bytes:
                        raise OutboundError(f"the answer is longer than {max_bytes} bytes")
                return OutboundAnswer(answer.status, bytes(body))
        except TimeoutError:
            raise OutboundError(f"there was no answer within {timeout:g} s") from None
        except (aiohttp.ClientError, ValueError, OSError) as error:
            raise OutboundError(str(error) or type(error).__name__) from error

    async def stream(self, url: str, *, timeout: float) -> OutboundStream:
        """GET; give the answer when its head has come, after at most `MAX_REDIRECTS` redirects.

        `timeout` (seconds) covers everything up to the head; how much is read, and how long that takes, is the
        caller's business.

        Raises:
            OutboundError: the address, or one that it redirects to, is closed to such calls; or there was no answer.
        """
        import aiohttp

        unlimited = aiohttp.ClientTimeout(total=None)
        try:
            async with asyncio.timeout(timeout):
                answer = await self._open().get(url, timeout=unlimited, max_redirects=MAX_REDIRECTS)
        except TimeoutError:
            raise OutboundError(f"there was no answer within {timeout:g} s") from None
        except (aiohttp.ClientError, ValueError, OSError) as error:
            raise OutboundError(str(error) or type(error).__name__) from error

        async def close() -> None:
            answer.close()

        headers = {name.lower(): value for name, value in answer.headers.items()}
        return OutboundStream(answer.status, headers, _chunks_of(answer), close)

    def _open(self) -> ClientSession:
        import aiohttp

        if self._session is None:
            connector = aiohttp.TCPConnector(
                # The address that is connected to is what is judged, however it was found: no name can be
                # looked up once for the judge and once more for the call.
                socket_factory=self._rules.make_socket,
                resolver=aiohttp.ThreadedResolver(),
                ssl=self._verify,
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                # Without it a small answer could unpack to a huge one.
                auto_decompress=False,
                headers={"Accept-Encoding": "identity", "User-Agent": "chamberlain"},
            )
        return self._session

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()


async def _chunks_of(answer: ClientResponse) -> AsyncIterator[bytes]:
    import aiohttp

    try:
        async for chunk in answer.content.iter_chunked(_CHUNK):
            yield chunk
    except (aiohttp.ClientError, OSError) as error:
        raise OutboundError(str(error) or type(error).__name__) from error
