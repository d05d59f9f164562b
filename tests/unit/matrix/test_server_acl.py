"""Server ACLs: who may take part in a room."""

from typing import Any

import pytest

from chamberlain.matrix.server_acl import parse_server_acl

CONTENT: dict[str, Any] = {
    "allow": ["*", 5],
    "deny": ["*.evil.com", "evil.com", "spam?.org", "bad*", "a*b*c"],
    "allow_ip_literals": False,
}


@pytest.mark.parametrize(
    ("server", "allowed"),
    [
        ("example.org", True),
        ("example.org:8448", True),
        ("evil.com", False),
        ("evil.com:1234", False),
        ("EVIL.com", False),
        ("sub.Evil.com", False),
        ("notevil.com", True),
        ("spam1.org", False),
        ("spam.org", True),
        ("badger.net", False),
        ("a1b2c", False),
        ("1.2.3.4", False),
        ("1.2.3.4:8448", False),
        ("[::1]", False),
        ("[::1]:8448", False),
        ("1.2.3.4.example", True),
    ],
)
def test_a_server_is_judged_by_its_host_in_any_case(server: str, allowed: bool) -> None:
    """Deny wins over allow, the port does not count, IP literals can be shut out."""
    assert parse_server_acl(CONTENT).allows(server) is allowed


def test_nobody_is_allowed_without_an_allow_list() -> None:
    """An ACL without a usable `allow` denies every server."""
    for content in ({}, {"allow": []}, {"allow": "*"}, {"allow": [None]}):
        assert not parse_server_acl(content).allows("example.org")


def test_ip_literals_are_judged_by_the_lists_unless_they_are_shut_out() -> None:
    """`allow_ip_literals` shuts them out only if it is the boolean false."""
    for value in (True, None, 0, "false"):
        acl = parse_server_acl({"allow": ["*"], "deny": ["1.2.3.4", "[::2]"], "allow_ip_literals": value})

        assert acl.allows("1.2.3.5")
        assert acl.allows("[::1]:8448")
        assert not acl.allows("1.2.3.4:8448")
        assert not acl.allows("[::2]")


def test_equal_contents_are_compiled_once() -> None:
    """The second look at the same content costs no compilation."""
    again = dict(CONTENT, allow=list(CONTENT["allow"]))

    assert parse_server_acl(CONTENT) is parse_server_acl(again)
