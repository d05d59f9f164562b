"""The client's address behind reverse proxies."""

import pytest

from chamberlain.http.address import ClientAddress

PROXIES = ("10.0.0.0/8", "192.0.2.7", "2001:db8::/32")


def address(peer: str | None, *forwarded: str, trusted: tuple[str, ...] = PROXIES) -> str:
    """The address found for a peer and its X-Forwarded-For headers."""
    headers = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    return ClientAddress(trusted).of({"client": (peer, 1) if peer else None, "headers": headers})


@pytest.mark.parametrize(
    ("peer", "forwarded", "found"),
    [
        ("203.0.113.5", ("198.51.100.1",), "203.0.113.5"),
        ("10.1.1.1", (), "10.1.1.1"),
        ("10.1.1.1", ("198.51.100.1",), "198.51.100.1"),
        ("10.1.1.1", ("1.2.3.4, 198.51.100.1",), "198.51.100.1"),
        ("10.1.1.1", ("1.2.3.4", "198.51.100.1,10.2.2.2"), "198.51.100.1"),
        ("10.1.1.1", ("198.51.100.1, nonsense",), "10.1.1.1"),
        ("10.1.1.1", ("10.3.3.3, 192.0.2.7",), "10.3.3.3"),
        ("10.1.1.1", ("198.51.100.1:4711",), "198.51.100.1"),
        ("10.1.1.1", ("[2001:470::1]:4711",), "2001:470::1"),
        ("::ffff:10.1.1.1", ("198.51.100.1",), "198.51.100.1"),
        ("2001:db8::1", ("2001:470::1",), "2001:470::1"),
        (None, ("198.51.100.1",), ""),
    ],
)
def test_the_client_is_the_rightmost_hop_that_is_not_trusted(
    peer: str | None, forwarded: tuple[str, ...], found: str
) -> None:
    """What a client writes into the header itself stands further left and is not believed."""
    assert address(peer, *forwarded) == found


def test_nobody_is_trusted_by_default() -> None:
    """Without trusted proxies the header is ignored."""
    assert address("127.0.0.1", "198.51.100.1", trusted=()) == "127.0.0.1"


def test_a_proxy_behind_a_unix_socket_can_be_trusted() -> None:
    """By the word `unix`."""
    assert address(None, "198.51.100.1", trusted=("unix",)) == "198.51.100.1"
    assert address("203.0.113.5", "198.51.100.1", trusted=("unix",)) == "203.0.113.5"


def test_a_trusted_proxy_must_be_an_address_or_a_network() -> None:
    """A mistake in the settings is found at the start."""
    with pytest.raises(ValueError):
        ClientAddress(["proxy.example.org"])
