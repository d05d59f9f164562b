"""Requests to other servers, over real TLS on this machine."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from chamberlain.config.outbound import PRIVATE_NETWORKS
from chamberlain.federation import connections, https
from chamberlain.federation.dns import Service
from chamberlain.federation.https import HttpsTransport
from chamberlain.matrix.remote_errors import BadAnswer, Unreachable
from chamberlain.runtime.clock import Clock
from chamberlain.runtime.http_client import AddressRules
from tests.support.rng import SeededRng
from tests.support.server import until
from tests.support.tls_host import FakeDns, Host, authority, text

TARGET = "/_matrix/federation/v1/event/%24a%2Fb?x=%21"


class Net:
    """Some hosts, an authority that is trusted, and a transport that knows the way."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.dns = FakeDns()
        self.authority, self.ca_file = authority(folder)
        self.hosts: list[Host] = []
        self.transport = self.make_transport("127.0.0.0/8", "::1/128")

    def make_transport(self, *allowed: str) -> HttpsTransport:
        """A transport that may call these networks beside those of the internet."""
        rules = AddressRules(PRIVATE_NETWORKS, allowed)
        return HttpsTransport(Clock(), SeededRng(), rules, [self.ca_file], self.dns)

    async def host(self, *names: str, signed_by: Any = None, address: str = "127.0.0.1") -> Host:
        """A host with a certificate for these names."""
        made = Host(signed_by or self.authority, *names)
        await made.start(address)
        self.hosts.append(made)
        return made

    async def get(self, name: str, *, timeout: float = 20, max_bytes: int = 1000) -> bytes:
        """The body of what a server answers."""
        answer = await self.transport.send(
            name, "GET", TARGET, {"Authorization": "X-Matrix a"}, None, timeout=timeout, max_bytes=max_bytes
        )
        return answer.body

    async def close(self) -> None:
        """Hang up."""
        await self.transport.close()
        for host in self.hosts:
            await host.stop()


@pytest.fixture
async def net(tmp_path: Path) -> AsyncIterator[Net]:
    made = Net(tmp_path)
    yield made
    await made.close()


async def test_a_request_arrives_as_it_was_made(net: Net) -> None:
    """Method, target, headers, body and Host; the answer has its status, headers and body."""
    host = await net.host("hs.test")
    net.dns.hosts["hs.test"] = [("127.0.0.1", 0)]
    host.answer = text("403 Forbidden", b'{"errcode":"M_FORBIDDEN"}', "X-Thing: yes")

    answer = await net.transport.send(
        f"hs.test:{host.port}", "PUT", TARGET, {"Authorization": "X"}, b"{}", timeout=20, max_bytes=100
    )

    assert (answer.status, answer.headers["x-thing"], answer.body) == (
        403,
        "yes",
        b'{"errcode":"M_FORBIDDEN"}',
    )
    lines = host.heads[0].split("\r\n")
    assert lines[0] == f"PUT {TARGET} HTTP/1.1"
    assert f"Host: hs.test:{host.port}" in lines and "Authorization: X" in lines
    assert "Accept-Encoding: identity" in lines
    assert host.asked_for == ["hs.test"]


@pytest.mark.parametrize(("name", "address"), [("127.0.0.1", "127.0.0.1"), ("[::1]", "::1")])
async def test_the_certificate_of_an_ip_address_is_for_the_address(net: Net, name: str, address: str) -> None:
    """There is no SNI then; a certificate for a name does not do."""
    host = await net.host(address, address=address)
    assert await net.get(f"{name}:{host.port}") == b"{}"
    assert host.asked_for == [None] and f"Host: {name}:{host.port}" in host.heads[0]

    other = await net.host("localhost", address=address)
    with pytest.raises(Unreachable, match="certificate"):
        await net.get(f"{name}:{other.port}")
    assert other.heads == []


async def test_names_and_authorities_are_checked(net: Net) -> None:
    """The wrong name and the wrong authority are refused before anything is sent; a connection of another name that
    leads to the same place does not help."""
    strange, _ = authority(net.folder, "strange")
    right, wrong = await net.host("hs.test"), await net.host("hs.test", signed_by=strange)
    net.dns.hosts |= {"hs.test": [("127.0.0.1", 0)], "evil.test": [("127.0.0.1", 0)]}
    assert await net.get(f"hs.test:{right.port}") == b"{}"

    with pytest.raises(Unreachable, match="certificate"):
        await net.get(f"evil.test:{right.port}")
    with pytest.raises(Unreachable, match="certificate"):
        await net.get(f"hs.test:{wrong.port}")

    assert len(right.heads) == 1 and wrong.heads == []


async def test_delegation_names_certificate_and_host(net: Net) -> None:
    """By the web and by SRV: the certificate is for the delegated name, never for the target of a record."""
    web, host = await net.host("example.test"), await net.host("hs.test")
    web.answer = text("200 OK", b'{"m.server": "hs.test"}')
    net.dns.hosts |= {"example.test": [("127.0.0.1", web.port)], "machine.test": [("127.0.0.1", 0)]}
    net.dns.services["_matrix-fed._tcp.hs.test"] = [Service(0, 0, host.port, "machine.test")]

    assert await net.get("example.test") == b"{}"
    assert web.heads[0].startswith("GET /.well-known/matrix/server HTTP/1.1\r\n")
    assert host.asked_for == ["hs.test"] and "Host: hs.test\r\n" in host.heads[0]

    wrong = await net.host("machine.test")
    net.dns.services["_matrix-fed._tcp.hs.test"] = [Service(0, 0, wrong.port, "machine.test")]
    with pytest.raises(Unreachable, match="certificate"):
        await net.get("example.test")


async def test_the_next_place_is_tried(net: Net) -> None:
    """Where the first one of a server's SRV records does not answer."""
    host = await net.host("hs.test")
    net.dns.hosts |= {"up.test": [("127.0.0.1", 0)], "down.test": [("127.0.0.1", 1)]}
    net.dns.services["_matrix._tcp.hs.test"] = [
        Service(1, 0, 1, "down.test"),
        Service(2, 0, 5, "unknown.test"),
        Service(3, 0, host.port, "up.test"),
    ]

    assert await net.get("hs.test") == b"{}"


async def test_redirects_of_the_well_known_page(net: Net) -> None:
    """They are followed to other hosts, but not in a circle, not without end, and not out of TLS."""
    web, other, host = await net.host("a.test"), await net.host("b.test"), await net.host("hs.test")
    net.dns.hosts |= {
        "a.test": [("127.0.0.1", web.port)],
        "b.test": [("127.0.0.1", other.port)],
        "hs.test": [("127.0.0.1", host.port)],
    }
    connected = net.transport._connections()
    web.answer = text("301 Moved", b"", "Location: https://b.test/over/there")
    other.answer = text("200 OK", b'{"m.server": "hs.test"}')
    assert await net.get("a.test") == b"{}" and host.asked_for == ["hs.test"]
    assert other.heads[0].startswith("GET /over/there ")

    for location in ("https://b.test/.well-known/matrix/server", "http://b.test/", "https:///", "\x7f:"):
        web.answer = text("302 Found", b"", f"Location: {location}")
        other.answer = text("307 Temporary", b"", "Location: https://a.test/.well-known/matrix/server")
        assert await connected.fetch_well_known("a.test") is None

    steps = 0

    async def endless(_: str, writer: asyncio.StreamWriter) -> None:
        nonlocal steps
        steps += 1
        await text("301 Moved", b"", f"Location: /{steps}")("", writer)

    web.answer = endless
    assert await connected.fetch_well_known("a.test") is None
    assert steps == connections.MAX_REDIRECTS + 1


async def test_the_well_known_page_is_bounded(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    """In bytes and in time."""
    web = await net.host("a.test")
    net.dns.hosts["a.test"] = [("127.0.0.1", web.port)]
    connected = net.transport._connections()
    web.answer = text("200 OK", b'{"m.server": "hs.test"}' + b" " * connections.MAX_PAGE_BYTES)
    assert await connected.fetch_well_known("a.test") is None

    monkeypatch.setattr(https, "WELL_KNOWN_SECONDS", 0.2)
    web.answer = drip
    assert await net.transport._fetch_well_known("a.test") is None


async def test_requests_themselves_follow_no_redirect(net: Net) -> None:
    """A redirect is an answer."""
    host = await net.host("127.0.0.1")
    host.answer = text("302 Found", b"", "Location: https://127.0.0.1:1/")

    answer = await net.transport.send(
        f"127.0.0.1:{host.port}", "GET", "/", {}, None, timeout=20, max_bytes=100
    )

    assert answer.status == 302


async def drip(_: str, writer: asyncio.StreamWriter) -> None:
    """An answer that never ends, a byte at a time."""
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"1\r\n \r\n")
        await writer.drain()
        await asyncio.sleep(0.01)


async def flood(_: str, writer: asyncio.StreamWriter) -> None:
    """An answer that never ends, as fast as it goes."""
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"10000\r\n" + b" " * 65_536 + b"\r\n")
        await writer.drain()
        # It writes on after the other end is gone, unless something else may run.
        await asyncio.sleep(0)


async def test_answers_are_bounded(net: Net) -> None:
    """In bytes, said before or not; in time, however much comes; what is cut off is hung up on."""
    host = await net.host("127.0.0.1")
    name = f"127.0.0.1:{host.port}"
    host.answer = text("200 OK", b"x" * 1001)
    with pytest.raises(BadAnswer):
        await net.get(name, max_bytes=1000)
    host.answer = flood
    with pytest.raises(BadAnswer):
        await net.get(name, max_bytes=1_000_000)
    host.answer = drip
    with pytest.raises(Unreachable, match=r"0\.3 s"):
        await net.get(name, timeout=0.3)

    async def hung_up() -> bool:
        return not host._open

    await until(hung_up)
    host.answer = text("200 OK", b"x" * 5_000_000)
    assert len(await net.get(name, max_bytes=5_000_000)) == 5_000_000


async def test_big_bodies_are_sent(net: Net) -> None:
    """Larger than what the library takes for small."""
    host = await net.host("127.0.0.1")
    answer = await net.transport.send(
        f"127.0.0.1:{host.port}", "PUT", "/", {}, b"x" * 3_000_000, timeout=20, max_bytes=100
    )

    assert answer.status == 200 and "Content-Length: 3000000" in host.heads[0]


async def test_no_answer_is_told_apart(net: Net) -> None:
    """Nobody there, no such name, silence, a connection that breaks, no HTTP."""
    host = await net.host("127.0.0.1")
    name = f"127.0.0.1:{host.port}"

    async def silence(_: str, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    async def breaking(_: str, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
        await writer.drain()
        writer.transport.abort()

    async def noise(_: str, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-no\r\n\r\n")

    for server in ("127.0.0.1:1", "unknown.test", "unknown.test:5"):
        with pytest.raises(Unreachable):
            await net.get(server)
    for answer in (silence, breaking, noise):
        host.answer = answer
        with pytest.raises(Unreachable):
            await net.get(name, timeout=0.5)


async def test_closed_networks_are_not_called(net: Net) -> None:
    """By address, by a name that leads there, by SRV, by delegation and by a redirect."""
    inside, web = await net.host("inside.test", "127.0.0.1"), await net.host("web.test")
    port = inside.port
    # What is allowed is one address only, so that the web page can be reached and the rest not.
    await web.stop()
    web = await net.host("web.test", address="127.0.0.2")
    transport = net.transport = net.make_transport("127.0.0.2/32")
    net.dns.hosts |= {"inside.test": [("127.0.0.1", 0)], "web.test": [("127.0.0.2", web.port)]}
    net.dns.services["_matrix._tcp.srv.test"] = [Service(0, 0, port, "inside.test")]
    for name in (f"127.0.0.1:{port}", f"[::ffff:127.0.0.1]:{port}", f"inside.test:{port}", "srv.test"):
        with pytest.raises(Unreachable):
            await net.get(name)
    web.answer = text("200 OK", f'{{"m.server": "127.0.0.1:{port}"}}'.encode())
    with pytest.raises(Unreachable, match="closes"):
        await net.get("web.test")
    web.answer = text("301 Moved", b"", f"Location: https://127.0.0.1:{port}/")
    assert await transport._connections().fetch_well_known("web.test") is None

    assert len(web.heads) == 2 and inside.connections == 0


async def test_a_name_with_addresses_inside_and_outside(net: Net) -> None:
    """Those that may be called are called."""
    inside, outside = await net.host("hs.test"), await net.host("hs.test", address="127.0.0.2")
    net.transport = net.make_transport("127.0.0.2/32")
    net.dns.hosts["hs.test"] = [("127.0.0.1", inside.port), ("127.0.0.2", outside.port)]

    assert await net.get("hs.test:5") == b"{}" and inside.connections == 0


async def test_a_name_that_leads_elsewhere_the_second_time(net: Net) -> None:
    """The address that is connected to is judged, not the one of an earlier look-up."""
    inside = await net.host("hs.test")
    outside = await net.host("hs.test", address="127.0.0.2")
    net.transport = net.make_transport("127.0.0.2/32")
    net.dns.hosts["hs.test"] = [("127.0.0.2", outside.port)]
    assert await net.get("hs.test:5") == b"{}"
    await net.transport.close()
    net.transport = net.make_transport("127.0.0.2/32")

    net.dns.hosts["hs.test"] = [("127.0.0.1", inside.port)]

    with pytest.raises(Unreachable, match="closes"):
        await net.get("hs.test:5")
    assert inside.connections == 0


async def test_connections_are_kept_and_counted(net: Net) -> None:
    """One after the other they share one; at once there are at most so many, and the others wait."""
    host = await net.host("127.0.0.1")
    name = f"127.0.0.1:{host.port}"
    for _ in range(3):
        await net.get(name)
    assert host.connections == 1

    under_way = most = 0
    all_are_busy = asyncio.Event()

    async def slow(head: str, writer: asyncio.StreamWriter) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        if under_way == connections.MAX_CONNECTIONS_TO_ONE:
            all_are_busy.set()
        await all_are_busy.wait()
        under_way -= 1
        await text("200 OK", b"{}")(head, writer)

    host.answer = slow
    try:
        await asyncio.gather(*(net.get(name, timeout=60) for _ in range(50)))
    finally:
        all_are_busy.set()
    assert most == host.connections == connections.MAX_CONNECTIONS_TO_ONE


async def test_an_answer_is_read_as_it_comes(net: Net) -> None:
    """Closed before its end, the connection is; read or never begun, the next request has it."""
    host = await net.host("127.0.0.1")
    name = f"127.0.0.1:{host.port}"
    host.answer = flood
    answer = await net.transport.stream(name, "GET", "/", {}, timeout=20)
    assert answer.status == 200 and len(await anext(answer.chunks)) > 0
    await answer.close()

    host.answer = text("200 OK", b"all of it")
    answer = await net.transport.stream(name, "GET", "/", {}, timeout=20)
    assert b"".join([chunk async for chunk in answer.chunks]) == b"all of it"
    await answer.close()
    await net.get(name)
    assert host.connections == 2


def test_the_library_is_loaded_with_the_first_request() -> None:
    """A server that talks to nobody does not pay for it."""
    code = (
        "import sys, chamberlain.app;"
        "from chamberlain.federation.https import HttpsTransport;"
        "from chamberlain.runtime.clock import Clock; from chamberlain.runtime.rng import Rng;"
        "from chamberlain.runtime.http_client import AddressRules;"
        "HttpsTransport(Clock(), Rng(), AddressRules((), ()));"
        "sys.exit('aiohttp' in sys.modules or 'aiodns' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
