"""TLS in front of a server, as a reverse proxy has it: what passes can be held up, or end a server."""

import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

import aiohttp
from aiohttp import web
from yarl import URL

from tests.support.authority import Authority

Happening = Callable[[], Awaitable[None]]


class Behind(Protocol):
    """The server: `port` is that of its name, `url` where it really is."""

    port: int
    url: str


class Door:
    """Passes requests on. What is in `asked` and `answered` happens once, at the next request with these bytes.

    They are looked for in the target and the body. `asked`: before the server has the request; `answered`: when the
    server has answered, and whoever asked does not know yet.
    """

    def __init__(self, server: Behind, session: aiohttp.ClientSession) -> None:
        self._server = server
        self._session = session
        self.asked: dict[bytes, Happening] = {}
        self.answered: dict[bytes, Happening] = {}

    async def open(self, authority: Authority) -> None:
        """Listen."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*authority.vouch("127.0.0.1"))
        app = web.Application(client_max_size=2**30)
        app.router.add_route("*", "/{rest:.*}", self._pass)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._server.port, ssl_context=context).start()

    async def close(self) -> None:
        """Listen no more."""
        await self._runner.cleanup()

    async def _pass(self, request: web.Request) -> web.Response:
        body = await request.read()
        content = request.raw_path.encode() + body
        await _happen(self.asked, content)
        url = URL(self._server.url + request.raw_path, encoded=True)
        sent = {
            kept: request.headers[kept]
            for kept in ("Authorization", "Content-Type")
            if kept in request.headers
        }
        try:
            async with self._session.request(request.method, url, headers=sent, data=body) as answer:
                found = await answer.read()
        except aiohttp.ClientError:
            return web.Response(status=502)
        await _happen(self.answered, content)
        return web.Response(status=answer.status, body=found, headers=_of(answer.headers))


def _of(headers: Mapping[str, str]) -> dict[str, str]:
    return {"Content-Type": headers.get("Content-Type", "application/json")}


async def _happen(what: dict[bytes, Happening], content: bytes) -> None:
    for mark in [mark for mark in what if mark in content]:
        await what.pop(mark)()
