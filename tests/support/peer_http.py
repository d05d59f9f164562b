"""Hand-made homeservers on real sockets of this machine, with TLS from an authority made for the occasion."""

import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path

import aiohttp
import trustme
from aiohttp import web
from yarl import URL

from chamberlain.federation.transport import TransportAnswer
from tests.support.peer import Peer

Raw = Callable[[web.Request], Awaitable[web.StreamResponse]]


class PeerHosts:
    """Peers named `127.0.0.1:<port>`. `ca_file` is the PEM of the authority that others must trust.

    `addresses` says where the servers under test listen, by name: `http://…` or `https://…`.
    """

    def __init__(self, folder: Path) -> None:
        self.authority = trustme.CA()
        self.ca_file = folder / "peers-ca.pem"
        self.authority.cert_pem.write_to_path(str(self.ca_file))
        self.addresses: dict[str, str] = {}
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert("127.0.0.1", "localhost").configure_cert(self._context)
        self._runners: list[web.AppRunner] = []
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=False), timeout=aiohttp.ClientTimeout(total=600)
        )

    async def add(self, instead: Mapping[str, Raw] | None = None) -> Peer:
        """A new peer, which listens and can reach whoever is in `addresses`.

        `instead`: what answers in its place, by the name of the endpoint, with all that HTTP has.
        """
        peers: list[Peer] = []

        async def answer(request: web.Request) -> web.StreamResponse:
            name = (request.path.split("/") + [""] * 4)[4]
            if instead is not None and name in instead:
                return await instead[name](request)
            found = await peers[0].handle(
                request.method, request.raw_path, request.headers, await request.read() or None
            )
            return web.Response(status=found.status, headers=found.headers, body=found.body)

        app = web.Application(client_max_size=2**30)
        app.router.add_route("*", "/{rest:.*}", answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        self._runners.append(runner)
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=self._context).start()
        peer = Peer(f"127.0.0.1:{runner.addresses[0][1]}")
        peer.reach = self._reach
        peers.append(peer)
        return peer

    async def _reach(
        self, destination: str, method: str, target: str, headers: Mapping[str, str], body: bytes | None
    ) -> TransportAnswer:
        url = URL(self.addresses[destination] + target, encoded=True)
        async with self._session.request(method, url, headers=headers, data=body) as answer:
            found = {name.lower(): value for name, value in answer.headers.items()}
            return TransportAnswer(answer.status, found, await answer.read())

    async def close(self) -> None:
        """Stop listening."""
        await self._session.close()
        for runner in self._runners:
            await runner.cleanup()


@contextlib.asynccontextmanager
async def peer_hosts(folder: Path) -> AsyncIterator[PeerHosts]:
    """A place for peers, closed at the end."""
    hosts = PeerHosts(folder)
    try:
        yield hosts
    finally:
        await hosts.close()
