"""Hostile servers on real sockets: answers without end, redirects in circles, silence, names that lead inside."""

import asyncio
import resource
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web

from chamberlain.config.federation import Federation
from chamberlain.config.outbound import Outbound
from tests.support.peer import Peer
from tests.support.peer_http import PeerHosts, peer_hosts
from tests.support.server import Client, Server, path, test_config

MEBIBYTE = 2**20


@pytest.fixture
async def hosts(tmp_path: Path) -> AsyncIterator[PeerHosts]:
    """A place for peers."""
    async with peer_hosts(tmp_path) as found:
        yield found


async def start(folder: Path, hosts: PeerHosts, allowed: tuple[str, ...] = ("127.0.0.0/8",)) -> Server:
    """A server with a real way out, which trusts the authority of the peers."""
    config = test_config(
        folder,
        server_name="near.test",
        federation=Federation(ca_files=(hosts.ca_file,), trusted_key_servers=()),
        outbound=Outbound(allowed_addresses=allowed),
    )
    return await Server.start(config, transport=None)


@pytest.fixture
async def near(hosts: PeerHosts, tmp_path: Path) -> AsyncIterator[Server]:
    """A server that may call this machine."""
    server = await start(tmp_path, hosts)
    yield server
    await server.stop()


@pytest.fixture
async def alice(near: Server) -> Client:
    """A user of it."""
    return await near.register("alice")


async def join(client: Client, peer: Peer) -> int:
    """Have the client join the peer's only room; the status of the answer."""
    (room_id,) = peer.rooms
    answer = await client.post(f"{path('join', room_id)}?server_name={peer.name}&via={peer.name}")
    return answer.status


async def test_an_honest_peer(hosts: PeerHosts, alice: Client) -> None:
    """Nobody lies: the room is joined over TLS."""
    peer = await hosts.add()
    peer.room("10").furnish()

    assert await join(alice, peer) == 200


async def endless(request: web.Request) -> web.StreamResponse:
    """JSON that does not end."""
    answer = web.StreamResponse(headers={"Content-Type": "application/json"})
    await answer.prepare(request)
    await answer.write(b'{"event":"')
    for _ in range(1000):
        await answer.write(b"x" * MEBIBYTE)
    return answer


async def a_hundred_megabytes(request: web.Request) -> web.StreamResponse:
    """Much, and says so."""
    headers = {"Content-Type": "application/json", "Content-Length": str(100 * MEBIBYTE)}
    answer = web.StreamResponse(headers=headers)
    await answer.prepare(request)
    for _ in range(100):
        await answer.write(b" " * MEBIBYTE)
    return answer


async def in_circles(request: web.Request) -> web.StreamResponse:
    """A redirect to the same place."""
    return web.Response(status=302, headers={"Location": str(request.url)})


async def inside(request: web.Request) -> web.StreamResponse:
    """A redirect to a secret place."""
    return web.Response(status=307, headers={"Location": "http://169.254.169.254/latest/meta-data"})


async def hangs_up(request: web.Request) -> web.StreamResponse:
    """Closes the connection in the middle."""
    answer = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": "100"})
    await answer.prepare(request)
    await answer.write(b"{")
    assert request.transport is not None
    request.transport.close()
    return answer


BAD = [endless, a_hundred_megabytes, in_circles, inside, hangs_up]


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.__name__)
async def test_answers_that_are_too_much(
    hosts: PeerHosts, alice: Client, bad: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> None:
    """The user gets an error soon; nothing big was held in memory, no redirect followed, others are served."""
    peer = await hosts.add(instead={"make_join": bad})
    peer.room("10").furnish()
    honest = await hosts.add()
    honest.room("10").furnish()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    joining = asyncio.ensure_future(join(alice, peer))
    assert await join(alice, honest) == 200
    async with asyncio.timeout(60):
        assert await joining in (403, 404, 502, 504)

    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < 80


async def test_names_that_lead_inside(hosts: PeerHosts, tmp_path: Path) -> None:
    """Unless it is allowed, no server is called at an address of this machine or network."""
    peer = await hosts.add()
    (room_id,) = [peer.room("10").furnish().room_id]
    server = await start(tmp_path / "closed", hosts, allowed=())
    alice = await server.register("alice")
    port = peer.name.rpartition(":")[2]

    for name in (peer.name, f"localhost:{port}", f"[::1]:{port}", f"0.0.0.0:{port}", f"2130706433:{port}"):
        answer = await alice.post(f"{path('join', room_id)}?via={name}&server_name={name}")
        assert answer.status in (400, 403, 404, 502, 504), f"{name}: {answer.body!r}"

    assert not peer.asked
    await server.stop()


async def test_a_server_that_says_nothing(hosts: PeerHosts, alice: Client) -> None:
    """While one server is silent, others answer, and who waits can give up."""
    silent = asyncio.Event()

    async def wait(request: web.Request) -> web.StreamResponse:
        await silent.wait()
        return web.Response()

    peer = await hosts.add(instead={"make_join": wait})
    peer.room("10").furnish()
    honest = await hosts.add()
    honest.room("10").furnish()

    joining = asyncio.ensure_future(join(alice, peer))
    async with asyncio.timeout(60):
        assert await join(alice, honest) == 200
        await alice.say(next(iter(honest.rooms)), "hello")
    joining.cancel()
    with pytest.raises(asyncio.CancelledError):
        await joining
    silent.set()
