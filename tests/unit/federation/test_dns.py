"""Looking up names with c-ares: the hosts file, and a name server of the test's own."""

import asyncio
import struct
from collections.abc import AsyncIterator
from typing import Any

import aiodns
import pytest

from chamberlain.federation.dns import Service, SystemDns

SRV, NO_SUCH_NAME, SERVER_FAILURE = 33, 3, 2


def encode_name(name: str) -> bytes:
    """A name as it stands in a message."""
    labels = [label.encode() for label in name.split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


class NameServer(asyncio.DatagramProtocol):
    """Answers with the SRV records that the test set, or a code."""

    def __init__(self) -> None:
        self.records: dict[str, list[Service]] = {}
        self.code = NO_SUCH_NAME
        self.port = 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        end = data.index(b"\0", 12) + 5
        question = data[12:end]
        name, rest = "", question
        while rest[0]:
            name += rest[1 : rest[0] + 1].decode().lower() + "."
            rest = rest[rest[0] + 1 :]
        found = self.records.get(name.rstrip("."), [])
        answers = b""
        for record in found:
            body = struct.pack("!HHH", record.priority, record.weight, record.port) + encode_name(record.host)
            answers += b"\xc0\x0c" + struct.pack("!HHIH", SRV, 1, 60, len(body)) + body
        flags = 0x8180 | (0 if found else self.code)
        head = data[:2] + struct.pack("!HHHHH", flags, 1, len(found), 0, 0)
        self.transport.sendto(head + question + answers, addr)


@pytest.fixture
async def server() -> AsyncIterator[NameServer]:
    transport, made = await asyncio.get_running_loop().create_datagram_endpoint(
        NameServer, local_addr=("127.0.0.1", 0)
    )
    yield made
    transport.close()


@pytest.fixture
async def dns(server: NameServer) -> AsyncIterator[SystemDns]:
    made = SystemDns()
    made._resolver = aiodns.DNSResolver(["127.0.0.1"], udp_port=server.port, timeout=1, tries=1)
    yield made
    await made.close()


async def test_srv_records_are_read(server: NameServer, dns: SystemDns) -> None:
    """With all that they say; the one of nothing has no host."""
    server.records = {
        "_matrix._tcp.a.test": [Service(10, 5, 8448, "hs.a.test"), Service(20, 0, 443, "other.test")],
        "_matrix._tcp.b.test": [Service(0, 0, 0, "")],
    }

    found = await dns.find_services("_matrix._tcp.a.test")
    assert sorted(found, key=lambda service: service.priority) == server.records["_matrix._tcp.a.test"]
    assert list(await dns.find_services("_matrix._tcp.b.test")) == [Service(0, 0, 0, "")]


@pytest.mark.parametrize("code", [NO_SUCH_NAME, SERVER_FAILURE, 0])
async def test_what_cannot_be_found_is_not_there(server: NameServer, dns: SystemDns, code: int) -> None:
    """No such name, no answer, no such record: there are no services, and addresses are an error."""
    server.code = code

    assert list(await dns.find_services("_matrix._tcp.a.test")) == []
    assert list(await dns.find_services("x" * 70 + ".test")) == []
    with pytest.raises(OSError, match=r"a\.test"):
        await dns.find_addresses("a.test", 5)


async def test_the_hosts_file_counts() -> None:
    """As for every other program."""
    dns = SystemDns()

    assert ("127.0.0.1", 5) in await dns.find_addresses("localhost", 5)
    await dns.close()
