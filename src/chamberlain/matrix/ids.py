"""Identifiers: those of users, rooms, aliases, events and servers (appendices, Identifier Grammar)."""

import ipaddress
import re
from functools import lru_cache
from typing import NewType

from chamberlain.matrix.errors import InvalidParam

RoomID = NewType("RoomID", str)
UserID = NewType("UserID", str)
EventID = NewType("EventID", str)
DeviceID = NewType("DeviceID", str)
ServerName = NewType("ServerName", str)
RoomAlias = NewType("RoomAlias", str)

MAX_ID_BYTES = 255

_LOCALPART = re.compile(r"[a-z0-9._=/+-]+")
_HOSTNAME = re.compile(r"[0-9A-Za-z.-]{1,255}")
_IPV6 = re.compile(r"[0-9A-Fa-f:.]{2,45}")
_DOTTED_QUAD = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}")
_PORT = re.compile(r"\d{1,5}", re.ASCII)
_MEDIA_ID = re.compile(r"[A-Za-z0-9_-]{1,255}")
_FORBIDDEN = re.compile("[\x00\ud800-\udfff]")


@lru_cache(maxsize=16_384)
def is_valid_server_name(value: str) -> bool:
    """Whether `value` is `hostname[:port]` with a DNS name, an IPv4 address, or an IPv6 one in brackets."""
    if value.startswith("["):
        host, bracket, rest = value[1:].partition("]")
        if not bracket or not _is_ipv6(host):
            return False
        return not rest or (rest[0] == ":" and _is_port(rest[1:]))
    host, colon, port = value.partition(":")
    if not _HOSTNAME.fullmatch(host) or (colon and not _is_port(port)):
        return False
    return not _DOTTED_QUAD.fullmatch(host) or all(int(part) < 256 for part in host.split("."))


def _is_port(value: str) -> bool:
    return bool(_PORT.fullmatch(value)) and int(value) < 65_536


def _is_ipv6(value: str) -> bool:
    if not _IPV6.fullmatch(value):
        return False
    try:
        ipaddress.IPv6Address(value)
    except ValueError:
        return False
    return True


def parse_server_name(value: object) -> ServerName:
    """`value` as a server name.

    Raises:
        InvalidParam: it is none.
    """
    if not isinstance(value, str) or not is_valid_server_name(value):
        raise InvalidParam("Not a valid server name")
    return ServerName(value)


def is_valid_localpart(value: str) -> bool:
    """Whether a new account may have this localpart (only a-z, 0-9 and `._=-/+`, at least one of them)."""
    return _LOCALPART.fullmatch(value) is not None


def is_valid_user_id(value: object) -> bool:
    """Whether `value` is a user id, the historical ones with any characters (and none) included."""
    return _is_id(value, "@") and is_valid_server_name(_domain_of(value))


def _is_id(value: object, sigil: str) -> bool:
    """Whether `value` is a string with this sigil, in bounds, without U+0000 and lone surrogates."""
    return (
        isinstance(value, str)
        and value[:1] == sigil
        and len(value) <= MAX_ID_BYTES
        and not _FORBIDDEN.search(value)
        and (value.isascii() or len(value.encode()) <= MAX_ID_BYTES)
    )


def _domain_of(value: object) -> str:
    return str(value).partition(":")[2]


def parse_user_id(value: object) -> UserID:
    """`value` as a user id, tolerating the historical grammar.

    Raises:
        InvalidParam: it is none.
    """
    if not is_valid_user_id(value):
        raise InvalidParam("Not a valid user ID")
    return UserID(str(value))


def parse_room_id(value: object) -> RoomID:
    """`value` as a room id; those of room version 12 have no server part.

    Raises:
        InvalidParam: it is none.
    """
    if not _is_id(value, "!") or len(str(value)) < 2:
        raise InvalidParam("Not a valid room ID")
    domain = _domain_of(value)
    if ":" in str(value) and not is_valid_server_name(domain):
        raise InvalidParam("Not a valid room ID")
    return RoomID(str(value))


def parse_room_alias(value: object) -> RoomAlias:
    """`value` as a room alias.

    Raises:
        InvalidParam: it is none.
    """
    if not _is_id(value, "#") or not is_valid_server_name(_domain_of(value)):
        raise InvalidParam("Not a valid room alias")
    return RoomAlias(str(value))


def parse_event_id(value: object) -> EventID:
    """`value` as an event id; those of room version 3 and later have no server part.

    Raises:
        InvalidParam: it is none.
    """
    if not _is_id(value, "$") or len(str(value)) < 2:
        raise InvalidParam("Not a valid event ID")
    return EventID(str(value))


def localpart_of(user_id: str) -> str:
    """What stands between the sigil and the first colon."""
    return user_id[1:].partition(":")[0]


def server_of(identifier: str) -> ServerName:
    """The server part of an identifier.

    Raises:
        InvalidParam: it has none, like the room ids of room version 12 and the event ids since version 3.
    """
    domain = identifier.partition(":")[2]
    if not domain:
        raise InvalidParam("The identifier has no server part")
    return ServerName(domain)


def find_server_of(identifier: str) -> ServerName | None:
    """The server part of an identifier, or None where it has none."""
    return ServerName(identifier.partition(":")[2]) or None


def make_user_id(localpart: str, server: str) -> UserID:
    """The user id of this localpart on this server, whether or not a new account may have it."""
    return UserID(f"@{localpart}:{server}")


def is_media_id(text: str) -> bool:
    """Whether this may be the id of a file (client-server API, Matrix Content URIs)."""
    return _MEDIA_ID.fullmatch(text) is not None


def parse_mxc(uri: object) -> tuple[str, str] | None:
    """The server and the id of a file by its `mxc://` URI; None for anything else."""
    if not isinstance(uri, str) or not uri.startswith("mxc://"):
        return None
    server_name, _, media_id = uri.removeprefix("mxc://").partition("/")
    return (server_name, media_id) if is_valid_server_name(server_name) and is_media_id(media_id) else None
