"""Identifiers: what is accepted, what is refused, and what their parts are."""

import pytest

from chamberlain.matrix import ids
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import InvalidParam


@pytest.mark.parametrize(
    "name",
    [
        "matrix.org",
        "matrix.org:8888",
        "1.2.3.4",
        "1.2.3.4:1234",
        "[1234:5678::abcd]",
        "[1234:5678::abcd]:5678",
        "localhost",
        "A-b.c",
        "[::1]",
        "example.org:65535",
    ],
)
def test_server_names_of_the_grammar_are_valid(name: str) -> None:
    """The specification's examples, and some more."""
    assert ids.is_valid_server_name(name)
    assert ids.parse_server_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a b",
        "example.org:",
        "example.org:port",
        "example.org:123456",
        "[::1",
        "[zz]",
        "[::1]8",
        "a/b",
        "a_b",
        "ex\u00e4mple.org",
        "1.2.3.256",
        "@a:b",
        "user@example.org",
        "[:::::]",
        "a:65536",
        "x" * 256,
        "a:٣",
    ],
)
def test_other_server_names_are_refused(name: str) -> None:
    """What the grammar does not allow is no server name."""
    assert not ids.is_valid_server_name(name)
    with pytest.raises(InvalidParam) as caught:
        ids.parse_server_name(name)

    assert caught.value.code is ErrCode.INVALID_PARAM
    assert caught.value.status == 400


@pytest.mark.parametrize("value", [None, 3, ["a"], {"a": 1}, b"@a:b"])
def test_what_is_no_string_is_no_identifier(value: object) -> None:
    """Parsers take what a JSON document may hold, and refuse it politely."""
    parsers = (
        ids.parse_user_id,
        ids.parse_room_id,
        ids.parse_room_alias,
        ids.parse_event_id,
        ids.parse_server_name,
    )
    for parse in parsers:
        with pytest.raises(InvalidParam):
            parse(value)


@pytest.mark.parametrize(
    "value", ["@alice:example.org", "@Alice Ä!:example.org:80", "@:example.org", "@a/b=c+d:[::1]:8"]
)
def test_user_ids_historical_ones_included(value: str) -> None:
    """Users of old times keep their spelling, even the empty one."""
    assert ids.parse_user_id(value) == value
    assert ids.is_valid_user_id(value)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "@",
        "alice:example.org",
        "@alice",
        "@alice:",
        "@alice:exa mple",
        "#a:example.org",
        "@a\x00b:c.org",
        "@a\ud800:c.org",
        "@" + "a" * 250 + ":b.org",
        "@" + "ä" * 124 + ":bb.org",
    ],
)
def test_other_user_ids_are_refused(value: str) -> None:
    """A missing part, U+0000, a lone surrogate, or more than 255 bytes make no user id."""
    with pytest.raises(InvalidParam):
        ids.parse_user_id(value)


def test_an_identifier_may_have_255_bytes() -> None:
    """The limit counts bytes, the sigil and the server included."""
    longest = "@" + "a" * (255 - len("@:b.org")) + ":b.org"

    assert len(ids.parse_user_id(longest)) == 255
    with pytest.raises(InvalidParam):
        ids.parse_user_id(longest + "g")


@pytest.mark.parametrize("value", ["!abc:example.org", "!" + "a" * 43, "!opaque/:example.org:80", "!:a.b"])
def test_room_ids_with_and_without_a_server(value: str) -> None:
    """Since room version 12 a room id is a hash."""
    assert ids.parse_room_id(value) == value


@pytest.mark.parametrize(
    "value", ["", "!", "#a:b.c", "abc", "!abc:", "!abc:no server", "!a\x00:b.c", "!" + "a" * 255]
)
def test_other_room_ids_are_refused(value: str) -> None:
    """Neither another sigil nor a broken server part."""
    with pytest.raises(InvalidParam):
        ids.parse_room_id(value)


def test_aliases_need_a_server() -> None:
    """Any characters but a colon before it."""
    assert ids.parse_room_alias("#räum #1:example.org") == "#räum #1:example.org"
    for bad in ("#a", "#a:", "!a:b.c", "#a:b c"):
        with pytest.raises(InvalidParam):
            ids.parse_room_alias(bad)


def test_event_ids_of_all_ages() -> None:
    """With a server, with base64, with URL-safe base64."""
    for good in ("$opaque:example.org", "$acR1l0raoZnm60CBwAVgqbZqoO/mYU81xysh1u7XcJk", "$a_b-c"):
        assert ids.parse_event_id(good) == good
    for bad in ("$", "abc", "!abc", "$" + "a" * 255):
        with pytest.raises(InvalidParam):
            ids.parse_event_id(bad)


@pytest.mark.parametrize(
    ("localpart", "valid"),
    [
        ("alice", True),
        ("a.b_c=d-e/f+9", True),
        ("", False),
        ("Alice", False),
        ("ä", False),
        ("a b", False),
        ("a\n", False),
    ],
)
def test_new_accounts_have_the_strict_grammar(localpart: str, valid: bool) -> None:
    """Lower-case letters, digits and a few signs."""
    assert ids.is_valid_localpart(localpart) is valid


def test_parts_of_identifiers() -> None:
    """The first colon parts them, so that ports and IPv6 addresses stay whole."""
    assert ids.localpart_of("@alice:example.org:80") == "alice"
    assert ids.server_of("@alice:[::1]:80") == "[::1]:80"
    assert ids.find_server_of("#a:b.c") == "b.c"
    assert ids.find_server_of("!hash") is None
    assert ids.make_user_id("alice", "example.org") == "@alice:example.org"
    with pytest.raises(InvalidParam):
        ids.server_of("!hash")
