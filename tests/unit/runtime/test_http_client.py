"""Calls to other servers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from chamberlain.config.outbound import PRIVATE_NETWORKS
from chamberlain.runtime.http_client import AddressRules, HttpClient, OutboundError
from tests.support.remote import serve


class Remote:
    """A server on this machine. `handler` answers; `calls` counts."""

    def __init__(self) -> None:
        self.calls = 0
        self.handler: Callable[[web.Request], Awaitable[web.StreamResponse]] = self._echo
        self.port = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.calls += 1
        return await self.handler(request)

    async def _echo(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(dict(await request.post()), status=203)


@pytest.fixture
async def remote() -> AsyncIterator[Remote]:
    """A running server on this machine."""
    made = Remote()
    async with serve(made.answer) as made.port:
        yield made


def rules(*allowed: str) -> AddressRules:
    """The default rules, with exceptions."""
    return AddressRules(PRIVATE_NETWORKS, allowed)


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    """A client that may call this machine."""
    made = HttpClient(rules("127.0.0.0/8", "::1"))
    yield made
    await made.close()


async def test_a_form_arrives_and_the_answer_comes_back(remote: Remote, client: HttpClient) -> None:
    """The fields are sent as a form; status and body come back as they are."""
    answer = await client.post_form(f"http://localhost:{remote.port}/x", {"a": "ä", "b": "&="})

    assert (answer.status, answer.body) == (203, b'{"a": "\\u00e4", "b": "&="}')


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433"])
async def test_closed_networks_are_not_called(remote: Remote, host: str) -> None:
    """Whatever leads to this machine, by name or in any spelling, is refused before a byte is sent."""
    client = HttpClient(rules())
    with pytest.raises(OutboundError):
        await client.post_form(f"http://{host}:{remote.port}/", {})
    await client.close()

    assert remote.calls == 0


@pytest.mark.parametrize(
    ("address", "permitted"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("10.1.2.3", False),
        ("169.254.169.254", False),
        ("fe80::1%eth0", False),
        ("::ffff:10.1.2.3", False),
        ("192.168.7.7", True),
        ("::ffff:192.168.7.7", True),
    ],
)
def test_which_addresses_may_be_called(address: str, permitted: bool) -> None:
    """Networks that lead inside are closed but for exceptions; IPv4 inside IPv6 is judged as IPv4."""
    assert rules("192.168.7.7/32").permit(address) is permitted


async def test_redirects_are_not_followed(remote: Remote, client: HttpClient) -> None:
    """A redirect comes back as the answer that it is."""

    async def redirect(_: web.Request) -> Any:
        return web.Response(status=302, headers={"Location": "/elsewhere"})

    remote.handler = redirect

    assert (await client.post_form(f"http://127.0.0.1:{remote.port}/", {})).status == 302
    assert remote.calls == 1


async def test_what_takes_too_long_or_is_too_much_fails(remote: Remote, client: HttpClient) -> None:
    """A silent server, one that talks too much, one that is not there and a bad URL end in one error."""
    url = f"http://127.0.0.1:{remote.port}/"

    async def silent(_: web.Request) -> Any:
        await asyncio.Event().wait()

    async def endless(request: web.Request) -> Any:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(100):
            await response.write(b"x" * 1000)
        return response

    remote.handler = silent
    with pytest.raises(OutboundError, match="no answer within"):
        await client.post_form(url, {}, timeout=0.05)
    remote.handler = endless
    with pytest.raises(OutboundError, match="longer than 5000 bytes"):
        await client.post_form(url, {}, max_bytes=5000)
    for nowhere in ("http://127.0.0.1:1/", "not a url", "ftp://127.0.0.1/"):
        with pytest.raises(OutboundError):
            await client.post_form(nowhere, {})


async def test_an_answer_is_read_as_it_comes(remote: Remote, client: HttpClient) -> None:
    """The head first, after a redirect; nothing is asked for that the caller does not read."""
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        if request.path == "/from":
            raise web.HTTPFound("/to")
        answer = web.StreamResponse(headers={"X-Kind": "endless"})
        await answer.prepare(request)
        while True:
            sent += 1
            await answer.write(b"x" * 65_536)

    remote.handler = endless
    answer = await client.stream(f"http://127.0.0.1:{remote.port}/from", timeout=60)
    first = await anext(answer.chunks)
    await answer.close()

    assert (answer.status, answer.headers["x-kind"]) == (200, "endless")
    assert set(first) == {ord("x")} and sent < 1_000


async def test_an_answer_that_never_begins_or_breaks_off(remote: Remote, client: HttpClient) -> None:
    """Silence, redirects without end, a connection that breaks in the midst: each is told as an error."""

    async def silent(request: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    async def around(request: web.Request) -> web.StreamResponse:
        raise web.HTTPFound("/again")

    async def breaking(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Length": "1000"})
        await answer.prepare(request)
        await answer.write(b"x")
        assert request.transport is not None
        request.transport.abort()
        return answer

    where = f"http://127.0.0.1:{remote.port}/"
    for handler in (silent, around):
        remote.handler = handler
        with pytest.raises(OutboundError):
            await client.stream(where, timeout=0.2)
    remote.handler = breaking
    answer = await client.stream(where, timeout=60)
    with pytest.raises(OutboundError):
        async for _ in answer.chunks:
            pass
    await answer.close()


async def test_a_stream_is_not_opened_into_closed_networks(remote: Remote) -> None:
    """As with other calls, a redirect there included."""
    closed = HttpClient(rules())
    try:
        with pytest.raises(OutboundError):
            await closed.stream(f"http://localhost:{remote.port}/", timeout=60)
    finally:
        await closed.close()
    assert remote.calls == 0
