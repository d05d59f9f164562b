"""Where servers are, by their names (server-server API, Resolving server names)."""

import pytest

from chamberlain.federation.discovery import Discovery, Place
from chamberlain.federation.dns import Service
from chamberlain.matrix.remote_errors import Unreachable
from tests.support.rng import SeededRng
from tests.support.tls_host import FakeDns


class Delegations:
    """What hosts delegate to; the test's own."""

    def __init__(self, **found: str) -> None:
        self.found = found
        self.asked: list[str] = []

    async def find(self, host: str) -> str | None:
        self.asked.append(host)
        return self.found.get(host)


async def find(name: str, dns: FakeDns, delegated: str | None = None) -> list[Place]:
    """The places of a server; `delegated` is what its host says."""
    delegations = Delegations() if delegated is None else Delegations(**{"example.org": delegated})
    return list(await Discovery(dns, delegations, SeededRng()).find(name))


@pytest.mark.parametrize(
    ("name", "place"),
    [
        # Step 1: IP addresses.
        ("1.2.3.4", Place("1.2.3.4", 8448, "1.2.3.4", "1.2.3.4")),
        ("1.2.3.4:80", Place("1.2.3.4", 80, "1.2.3.4", "1.2.3.4:80")),
        ("[2001:db8::1]", Place("2001:db8::1", 8448, "2001:db8::1", "[2001:db8::1]")),
        ("[::1]:443", Place("::1", 443, "::1", "[::1]:443")),
        # Step 2: a port.
        ("example.org:1234", Place("example.org", 1234, "example.org", "example.org:1234")),
    ],
)
async def test_addresses_and_ports_are_taken_as_they_are(name: str, place: Place) -> None:
    """Nobody is asked."""
    dns, delegations = FakeDns(), Delegations()

    assert list(await Discovery(dns, delegations, SeededRng()).find(name)) == [place]
    assert dns.asked == [] and delegations.asked == []


@pytest.mark.parametrize(
    ("delegated", "place"),
    [
        # Steps 3.1, 3.2 and 3.5.
        ("1.2.3.4", Place("1.2.3.4", 8448, "1.2.3.4", "1.2.3.4")),
        ("[::1]:80", Place("::1", 80, "::1", "[::1]:80")),
        ("hs.example.org:443", Place("hs.example.org", 443, "hs.example.org", "hs.example.org:443")),
        ("hs.example.org", Place("hs.example.org", 8448, "hs.example.org", "hs.example.org")),
    ],
)
async def test_a_host_delegates(delegated: str, place: Place) -> None:
    """The certificate and the Host header are those of the delegated name; it does not delegate further."""
    assert await find("example.org", FakeDns(), delegated) == [place]


@pytest.mark.parametrize(("delegated", "host"), [(None, "example.org"), ("hs.example.org", "hs.example.org")])
async def test_srv_records_lead_elsewhere(delegated: str | None, host: str) -> None:
    """The new service before the deprecated one; the certificate is for the name before (3.3, 3.4, 4, 5)."""
    dns = FakeDns()
    dns.services[f"_matrix._tcp.{host}"] = [Service(1, 0, 2, "old.example.net")]
    assert await find("example.org", dns, delegated) == [Place("old.example.net", 2, host, host)]
    assert dns.asked == [f"_matrix-fed._tcp.{host}", f"_matrix._tcp.{host}"]

    dns.services[f"_matrix-fed._tcp.{host}"] = [Service(1, 0, 1, "new.example.net")]
    assert await find("example.org", dns, delegated) == [Place("new.example.net", 1, host, host)]


async def test_without_anything_it_is_the_usual_port() -> None:
    """Step 6."""
    assert await find("example.org", FakeDns()) == [Place("example.org", 8448, "example.org", "example.org")]


async def test_records_are_tried_by_priority_and_drawn_by_weight() -> None:
    """All of the lowest priority first; three quarters of the weight come first three times in four."""
    dns = FakeDns()
    dns.services["_matrix-fed._tcp.example.org"] = [
        Service(20, 100, 4, "last.example.net"),
        Service(10, 0, 1, "none.example.net"),
        Service(10, 75, 2, "heavy.example.net"),
        Service(10, 25, 3, "light.example.net"),
    ]
    discovery = Discovery(dns, Delegations(), SeededRng())
    firsts = []
    for _ in range(400):
        places = await discovery.find("example.org")
        assert {place.port for place in places[:3]} == {1, 2, 3} and places[3].port == 4
        firsts.append(places[0].port)

    assert 270 <= firsts.count(2) <= 330
    assert 70 <= firsts.count(3) <= 130


async def test_a_server_that_is_decidedly_not_there() -> None:
    """A record of nothing, or the name of no server."""
    dns = FakeDns()
    dns.services["_matrix-fed._tcp.example.org"] = [Service(0, 0, 0, "")]
    for name in ("example.org", "exa mple.org", "example.org:99999", "", "[::1", "a/b"):
        with pytest.raises(Unreachable):
            await find(name, dns)
