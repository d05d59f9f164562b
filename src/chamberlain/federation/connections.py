"""Connections to other servers: TLS that is always verified, kept for the next request, never into closed networks.

This is the one module of federation that loads the HTTP library, so it is imported with the first request.
"""

from __future__ import annotations

import io
import socket
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from chamberlain import __version__
from chamberlain.federation.discovery import Place
from chamberlain.federation.dns import Dns
from chamberlain.federation.well_known import PATH, Page
from chamberlain.matrix.remote_errors import BadAnswer, Unreachable
from chamberlain.runtime.http_client import AddressRules
from chamberlain.runtime.space import Space

MAX_CONNECTIONS: Final = 500
MAX_CONNECTIONS_TO_ONE: Final = 20
"""Requests under way to one server; more of them wait, within their own time."""
IDLE_SECONDS: Final = 30
CONNECT_SECONDS: Final = 10
"""For one place of a server; the next one is tried then."""
MAX_REDIRECTS: Final = 5
MAX_PAGE_BYTES: Final = 50 * 1024
TOTAL_BYTES: Final = 256 * 1024 * 1024
"""So much of several whole answers may be in memory while they come; then the later ones wait, within their time."""
SMALL_BYTES: Final = 512 * 1024
"""An answer up to this size waits for no other one."""
_BUFFER: Final = 256 * 1024
_PLAIN_BODY: Final = 1024 * 1024
"""Bytes of a body above which the library wants a file."""


class CannotConnect(Exception):
    """Nothing was sent; another place of the same server may do."""


class _Resolver(AbstractResolver):
    def __init__(self, dns: Dns) -> None:
        self._dns = dns

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=its_port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address, its_port in await self._dns.find_addresses(host, port)
        ]

    async def close(self) -> None:
        """The look-ups belong to whoever made this."""


class Answer:
    """The head of an answer whose body is still to be read. It must be read to its end, or closed."""

    def __init__(self, destination: str, response: aiohttp.ClientResponse, space: Space) -> None:
        self._destination = destination
        self._response = response
        self._space = space
        self.status = response.status
        self.headers: Mapping[str, str] = {name.lower(): value for name, value in response.headers.items()}

    async def read(self, max_bytes: int) -> bytes:
        """The whole body. A long one may have to wait for other long ones.

        Raises:
            BadAnswer: it is longer than `max_bytes`.
            Unreachable: the connection broke.
        """
        if (self._response.content_length or 0) > max_bytes:
            raise BadAnswer(self._destination, f"the answer is longer than {max_bytes} bytes")
        body = io.BytesIO()
        with self._space.place() as place:
            async for chunk in self.chunks():
                if body.tell() + len(chunk) > max_bytes:
                    raise BadAnswer(self._destination, f"the answer is longer than {max_bytes} bytes")
                await place.bring(len(chunk))
                body.write(chunk)
            return body.getvalue()

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes; raises Unreachable where the connection breaks."""
        try:
            async for chunk in self._response.content.iter_any():
                yield chunk
        except (aiohttp.ClientError, OSError) as error:
            raise Unreachable(self._destination, _words(error)) from error

    async def close(self) -> None:
        """Give the connection back where the body was read to its end, else close it."""
        if self._response.content.at_eof():
            self._response.release()
        else:
            self._response.close()


class Connections:
    """The open connections, by address, port and certified name."""

    def __init__(self, dns: Dns, rules: AddressRules, ca_files: Sequence[Path]) -> None:
        self._space = Space(TOTAL_BYTES, small=SMALL_BYTES)
        tls = ssl.create_default_context()
        for file in ca_files:
            tls.load_verify_locations(cafile=file)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                ssl=tls,
                limit=MAX_CONNECTIONS,
                limit_per_host=MAX_CONNECTIONS_TO_ONE,
                keepalive_timeout=IDLE_SECONDS,
                resolver=_Resolver(dns),
                # However an address was found: the one that is connected to is judged.
                socket_factory=rules.make_socket,
            ),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            # Without it a small answer could unpack to a huge one.
            auto_decompress=False,
            read_bufsize=_BUFFER,
            headers={"Accept-Encoding": "identity", "User-Agent": f"chamberlain/{__version__}"},
        )

    async def ask(
        self,
        destination: str,
        place: Place,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | None,
    ) -> Answer:
        """Make one request to a place of a server, and give the answer when its head has come.

        Raises:
            CannotConnect: it was not sent.
            Unreachable: there was no answer.
        """
        host = f"[{place.host}]" if ":" in place.host else place.host
        try:
            response = await self._session.request(
                method,
                URL(f"https://{host}:{place.port}{target}", encoded=True),
                headers={**headers, "Host": place.host_header},
                data=io.BytesIO(body) if body is not None and len(body) > _PLAIN_BODY else body,
                server_hostname=place.certified,
                allow_redirects=False,
            )
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise CannotConnect(_words(error)) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Unreachable(destination, _words(error)) from error
        return Answer(destination, response, self._space)

    async def fetch_well_known(self, host: str) -> Page | None:
        """The page at `/.well-known/matrix/server`, redirects to https followed; None where there was none."""
        url = URL(f"https://{host}{PATH}", encoded=True)
        seen: set[URL] = set()
        try:
            while len(seen) <= MAX_REDIRECTS and url not in seen and url.scheme == "https" and url.host:
                seen.add(url)
                async with self._session.get(url, allow_redirects=False) as response:
                    location = response.headers.get("Location")
                    if response.status not in (301, 302, 303, 307, 308) or location is None:
                        return await self._page(host, response)
                    url = url.join(URL(location))
        except (aiohttp.ClientError, Unreachable, BadAnswer, OSError, ValueError):
            return None
        return None

    async def _page(self, host: str, response: aiohttp.ClientResponse) -> Page:
        answer = Answer(host, response, self._space)
        return Page(answer.status, answer.headers, await answer.read(MAX_PAGE_BYTES))

    async def close(self) -> None:
        """Close every connection."""
        await self._session.close()


def _words(error: BaseException) -> str:
    return str(error)[:300] or type(error).__name__
