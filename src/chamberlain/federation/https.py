"""The transport to other servers: HTTPS, to where their names lead."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from chamberlain.federation.discovery import Discovery
from chamberlain.federation.dns import Dns, SystemDns
from chamberlain.federation.transport import StreamedAnswer, TransportAnswer
from chamberlain.federation.well_known import Page, WellKnown
from chamberlain.matrix.remote_errors import Unreachable
from chamberlain.runtime.clock import Clock
from chamberlain.runtime.http_client import AddressRules
from chamberlain.runtime.rng import Rng

if TYPE_CHECKING:
    from chamberlain.federation.connections import Answer, Connections

MAX_PLACES: Final = 4
"""Places of one server that are tried for one request."""
WELL_KNOWN_SECONDS: Final = 10


class HttpsTransport:
    """Reaches servers by their names. The HTTP library is loaded with the first request."""

    def __init__(
        self,
        clock: Clock,
        rng: Rng,
        rules: AddressRules,
        ca_files: Sequence[Path] = (),
        dns: Dns | None = None,
    ) -> None:
        """`ca_files`: PEM files of authorities that are trusted beside those of the system."""
        self._rules = rules
        self._ca_files = ca_files
        self._dns = dns or SystemDns()
        self._well_known = WellKnown(clock, self._fetch_well_known)
        self._discovery = Discovery(self._dns, self._well_known, rng)
        self._opened: Connections | None = None

    async def send(
        self,
        destination: str,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | None,
        *,
        timeout: float,
        max_bytes: int,
    ) -> TransportAnswer:
        """Give the server's answer, as `Transport` says."""
        try:
            async with asyncio.timeout(timeout):
                answer = await self._ask(destination, method, target, headers, body)
                try:
                    return TransportAnswer(answer.status, answer.headers, await answer.read(max_bytes))
                finally:
                    await answer.close()
        except TimeoutError:
            raise Unreachable(destination, f"no answer within {timeout:g} s") from None

    async def stream(
        self,
        destination: str,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        *,
        timeout: float,
    ) -> StreamedAnswer:
        """Give the head of the server's answer, as `Transport` says."""
        try:
            async with asyncio.timeout(timeout):
                answer = await self._ask(destination, method, target, headers, body)
        except TimeoutError:
            raise Unreachable(destination, f"no answer within {timeout:g} s") from None
        return StreamedAnswer(answer.status, answer.headers, answer.chunks(), answer.close)

    async def _ask(
        self, destination: str, method: str, target: str, headers: Mapping[str, str], body: bytes | None
    ) -> "Answer":
        connections = self._connections()
        from chamberlain.federation.connections import CannotConnect

        words = ""
        for place in (await self._discovery.find(destination))[:MAX_PLACES]:
            try:
                return await connections.ask(destination, place, method, target, headers, body)
            except CannotConnect as problem:
                words = str(problem)
        raise Unreachable(destination, words)

    def _connections(self) -> "Connections":
        if self._opened is None:
            from chamberlain.federation.connections import Connections

            self._opened = Connections(self._dns, self._rules, self._ca_files)
        return self._opened

    async def _fetch_well_known(self, host: str) -> Page | None:
        try:
            async with asyncio.timeout(WELL_KNOWN_SECONDS):
                return await self._connections().fetch_well_known(host)
        except TimeoutError:
            return None

    async def close(self) -> None:
        """Close the connections."""
        await self._well_known.close()
        if self._opened is not None:
            await self._opened.close()
        await self._dns.close()
