"""`python -m bench.federation.crowd`: a room with members of thousands of servers, and the memory over time.

Each server has an address of this machine: most refuse the connection, some accept it and never answer, some are
there. Their keys come from a notary. A user of ours talks; now and then it is printed how large the server has become.
"""

import argparse
import asyncio
import contextlib
import ssl
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import uvloop
from aiohttp import web

from bench.client import Api
from bench.federation import targets
from bench.federation.stage import PATIENCE, Side
from bench.processes import cpu_seconds, peak_mib, resident_mib
from bench.target import free_port
from chamberlain.matrix.server_keys import own_keys
from chamberlain.matrix.signing import SigningKey, sign_json
from tests.support.peer import DAY_MS, Asked, Peer
from tests.support.peer_http import PeerHosts, peer_hosts
from tests.support.peer_room import PeerRoom

ROOM_VERSION = "10"
SAMPLES = 10


class _Transaction(msgspec.Struct):
    pdus: list[msgspec.Raw] = []


class Crowd:
    """The servers: `there`, `slow` and `gone`, by name. `heard`: how many PDUs each of those that are there got."""

    def __init__(self, counts: tuple[int, int, int], ports: tuple[int, int, int]) -> None:
        self.there, self.slow, self.gone = (
            [f"127.{kind}.{number // 250}.{number % 250 + 1}:{port}" for number in range(count)]
            for kind, (count, port) in enumerate(zip(counts, ports, strict=True), 1)
        )
        self.key = SigningKey(b"crowd" * 6 + b"!!", "crowd")
        self.heard: Counter[str] = Counter()

    @property
    def names(self) -> list[str]:
        """All of them."""
        return [*self.there, *self.slow, *self.gone]

    async def answer(self, request: web.Request) -> web.Response:
        """What a server says that is there: it takes every transaction."""
        if "/send/" in request.path:
            found = msgspec.json.decode(await request.read(), type=_Transaction)
            self.heard[request.headers["Host"]] += len(found.pdus)
        return web.json_response({"pdus": {}})


def notary(peer: Peer, crowd: Crowd) -> None:
    """Have the peer tell of the keys of all of the crowd."""

    def tell(asked: Asked, honest: Any) -> Any:
        if asked.method != "POST":
            return honest
        wanted = asked.body["server_keys"]
        until = peer.now() + DAY_MS
        known = {name: own_keys(name, [crowd.key], [], until) for name in wanted if name in crowd_names}
        return {"server_keys": [sign_json(keys, peer.name, peer.key) for keys in known.values()]}

    crowd_names = set(crowd.names)
    peer.lies["key"] = tell


def gathered(peer: Peer, crowd: Crowd) -> PeerRoom:
    """A room with a member of each server."""
    room = peer.room(ROOM_VERSION)
    room.keys = {peer.name: peer.key} | dict.fromkeys(crowd.names, crowd.key)
    room.ts -= len(crowd.names)
    room.furnish()
    for name in crowd.names:
        room.member(f"@member:{name}", "join")
    return room


@contextlib.asynccontextmanager
async def listening(hosts: PeerHosts, crowd: Crowd, ports: tuple[int, int, int]) -> AsyncIterator[None]:
    """Those that are there answer, the slow ones take what is sent and say nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    addresses = [name.partition(":")[0] for name in crowd.there]
    hosts.authority.issue_cert(*addresses).configure_cert(context)
    app = web.Application(client_max_size=2**30)
    app.router.add_route("*", "/{rest:.*}", crowd.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "0.0.0.0", ports[0], ssl_context=context).start()
    silent = await asyncio.start_server(_say_nothing, "0.0.0.0", ports[1])
    try:
        yield
    finally:
        silent.close()
        await runner.cleanup()


async def _say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while await reader.read(65_536):
            pass
    except OSError:
        pass
    finally:
        writer.close()


async def talk(side: Side, crowd: Crowd, room: PeerRoom, messages: int, seconds: float) -> None:
    """Send the messages evenly over the time, print what memory they cost, and wait until all that are there know."""
    root = side.target.pids[0]
    began, used = asyncio.get_running_loop().time(), cpu_seconds(side.target.pids)
    sample(0.0, 0, crowd, root)
    for number in range(1, messages + 1):
        due = began + seconds * number / messages
        await asyncio.sleep(due - asyncio.get_running_loop().time())
        await side.api.send(side.user, room.room_id, f"message {number} to everyone")
        if number % max(1, messages // SAMPLES) == 0:
            sample(asyncio.get_running_loop().time() - began, number, crowd, root)
    async with asyncio.timeout(PATIENCE):
        while min(crowd.heard[name] for name in crowd.there) < messages:
            await asyncio.sleep(1)
    sample(asyncio.get_running_loop().time() - began, messages, crowd, root)
    print(f"peak {peak_mib(root):.0f} MiB, CPU {cpu_seconds(side.target.pids) - used:.0f} s")


def sample(seconds: float, sent: int, crowd: Crowd, root: int) -> None:
    """Print how things stand."""
    heard = sum(crowd.heard.values()) / max(1, len(crowd.there))
    print(
        f"{seconds:7.0f} s {sent:6} messages, {heard:8.1f} heard of on average {resident_mib(root):8.1f} MiB",
        flush=True,
    )


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="bench.federation.crowd", description=__doc__)
    parser.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--servers", type=int, default=5_000)
    parser.add_argument("--there", type=int, default=100, help="how many of them answer")
    parser.add_argument("--slow", type=int, default=200, help="how many accept connections and say nothing")
    parser.add_argument("--messages", type=int, default=2_000)
    parser.add_argument("--seconds", type=float, default=300, help="over which the messages are sent")
    return parser.parse_args(given)


async def run(options: argparse.Namespace) -> None:
    """Measure and print."""
    ports = (free_port(), free_port(), free_port())
    crowd = Crowd((options.there, options.slow, options.servers - options.there - options.slow), ports)
    with tempfile.TemporaryDirectory(prefix="chamberlain-bench-") as folder:
        async with peer_hosts(Path(folder)) as hosts, listening(hosts, crowd, ports):
            peer = await hosts.add()
            notary(peer, crowd)
            room = gathered(peer, crowd)
            async with targets.chamberlain(options.database, hosts.ca_file, notaries=[peer.name]) as target:
                hosts.addresses[targets.NAME] = target.url
                api = Api(target.url, target.secret, timeout=PATIENCE)
                try:
                    side = Side("chamberlain", target, api, await api.register(), [peer])
                    print(f"at rest {resident_mib(target.pids[0]):.1f} MiB")
                    mine = await side.enter(room)
                    await talk(side, crowd, mine, options.messages, options.seconds)
                finally:
                    await api.close()


if __name__ == "__main__":
    uvloop.run(run(arguments()))
