"""From path, query string and body to a request Struct, and what is refused on the way."""

from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec
import pytest

from chamberlain.http.decode import RequestDecoder
from chamberlain.http.endpoint import Body, Path, Query, Request
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import MatrixError
from chamberlain.matrix.ids import RoomID
from chamberlain.matrix.types import JsonObject


class Direction(StrEnum):
    BACKWARDS = "b"
    FORWARDS = "f"


class Send(Request):
    ts: Query[int | None] = None
    room_id: Path[RoomID]
    content: Body[JsonObject]


class Listing(Request):
    from_: Query[str | None] = msgspec.field(name="from", default=None)
    limit: Query[Annotated[int, msgspec.Meta(ge=0)]] = 10
    guests: Query[bool] = True
    admins: Query[bool | None] = None
    servers: Query[list[str]] = msgspec.field(name="server_name", default_factory=list)
    sizes: Query[list[int] | None] = None
    order: Query[Literal["name", "age"]] = "name"
    score: Query[float] = 0.0
    direction: Query[Direction] = msgspec.field(name="dir", default=Direction.FORWARDS)


class Needed(Request):
    search: Query[str]


class Login(Request):
    kind: str = msgspec.field(name="type")
    password: str | None = None
    devices: list[str] = msgspec.field(default_factory=list)


class Device(msgspec.Struct):
    device_id: str


class Nested(Request):
    user_id: Path[str]
    device: Device
    count: int = 0


class OptionalKeys(Request):
    room_id: Path[RoomID]
    reason: str | None = None


class OptionalBody(Request):
    content: Body[JsonObject | None] = None


class Checked(Request):
    name: str

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("name must not be empty")


def decode(kind: type[Request], *, query: bytes = b"", body: bytes = b"", **holes: str) -> Any:
    """What the decoder makes of a request."""
    return RequestDecoder(kind).decode(holes, query, body)


def refusal(kind: type[Request], **parts: Any) -> ErrCode:
    """The errcode with which a request is refused; always a 400."""
    with pytest.raises(MatrixError) as refused:
        decode(kind, **parts)
    assert refused.value.status == 400
    return refused.value.code


def test_path_query_and_body_come_together() -> None:
    """Each field has its value from its place."""
    request = decode(Send, query=b"ts=5", body=b'{"body": "hi", "n": 1.5}', room_id="!a:b")

    assert request == Send(room_id=RoomID("!a:b"), ts=5, content={"body": "hi", "n": 1.5})


def test_query_values_have_types() -> None:
    """Booleans, numbers, choices, repetitions and other names on the wire."""
    query = (
        b"from=t1%2B2+3&limit=5&guests=false&admins=true&server_name=a&server_name=b&sizes=1&sizes=2"
        b"&order=age&score=1.5&dir=b&unknown=1"
    )

    request = decode(Listing, query=query)

    assert request == Listing(
        from_="t1+2 3",
        limit=5,
        guests=False,
        admins=True,
        servers=["a", "b"],
        sizes=[1, 2],
        order="age",
        score=1.5,
        direction=Direction.BACKWARDS,
    )


def test_defaults_hold_where_the_query_is_silent() -> None:
    """Also in a query string of nothing but separators, and for a key without a value."""
    assert decode(Listing, query=b"&&") == Listing()
    assert decode(Listing, query=b"from") == Listing(from_="")


@pytest.mark.parametrize(
    "query",
    [
        b"limit=x",
        b"limit=",
        b"limit=1.5",
        b"limit=-1",
        b"limit=99999999999999999999999",
        b"guests=1",
        b"guests=",
        b"admins=yes",
        b"sizes=x",
        b"order=size",
        b"score=nan",
        b"score=inf",
        b"score=1e400",
        b"dir=x",
        b"from=%ff",
        b"from=%00",
    ],
)
def test_a_bad_query_value_is_an_invalid_parameter(query: bytes) -> None:
    """M_INVALID_PARAM, whatever is wrong with it."""
    assert refusal(Listing, query=query) == ErrCode.INVALID_PARAM


def test_a_required_query_key_must_be_there() -> None:
    """M_MISSING_PARAM without it; empty is enough."""
    assert refusal(Needed) == ErrCode.MISSING_PARAM
    assert decode(Needed, query=b"search=") == Needed(search="")


def test_unmarked_fields_are_keys_of_the_body() -> None:
    """With their name on the wire; unknown keys are ignored, of a duplicate the last one counts."""
    body = b'{"type": "a", "type": "m.login.password", "devices": ["X"], "other": {}}'

    assert decode(Login, body=body) == Login(kind="m.login.password", devices=["X"])


def test_default_lists_are_not_shared() -> None:
    """Two requests without a list have two lists."""
    first, second = decode(Login, body=b'{"type":"x"}'), decode(Login, body=b'{"type":"x"}')
    first.devices.append("X")

    assert second.devices == []


@pytest.mark.parametrize(
    ("body", "errcode"),
    [
        (b"{}", ErrCode.MISSING_PARAM),
        (b'{"type": 5}', ErrCode.BAD_JSON),
        (b'{"type": null}', ErrCode.BAD_JSON),
        (b'{"type": "x", "devices": [1]}', ErrCode.BAD_JSON),
        (b"[]", ErrCode.BAD_JSON),
        (b"null", ErrCode.BAD_JSON),
        (b'"text"', ErrCode.BAD_JSON),
        (b"5", ErrCode.BAD_JSON),
        (b"", ErrCode.NOT_JSON),
        (b"  ", ErrCode.NOT_JSON),
        (b"{", ErrCode.NOT_JSON),
        (b"type=x&a=b", ErrCode.NOT_JSON),
        (b'{"type": "x"} trailing', ErrCode.NOT_JSON),
        (b'{"type": "\xff"}', ErrCode.NOT_JSON),
        (b'{"type": "x", "ignored": "\xff"}', ErrCode.NOT_JSON),
        (b'{"type": "\\ud800"}', ErrCode.NOT_JSON),
        (b'{"type": NaN}', ErrCode.NOT_JSON),
        (b"\xef\xbb\xbf{}", ErrCode.NOT_JSON),
    ],
)
def test_a_bad_body_is_told_apart(body: bytes, errcode: ErrCode) -> None:
    """M_NOT_JSON for what is no JSON, M_BAD_JSON for another shape, M_MISSING_PARAM for a missing key."""
    assert refusal(Login, body=body) == errcode


def test_a_key_missing_further_down_is_bad_json() -> None:
    """Only a key of the body itself is a missing parameter."""
    assert refusal(Nested, body=b'{"device": {}}', user_id="u") == ErrCode.BAD_JSON
    assert decode(Nested, body=b'{"device": {"device_id": "D"}}', user_id="u").device == Device("D")


@pytest.mark.parametrize("body", [b"", b" \n", b"{}"])
def test_an_empty_body_will_do_where_every_key_has_a_default(body: bytes) -> None:
    """As for leaving a room without a reason."""
    assert decode(OptionalKeys, body=body, room_id="!r").reason is None


def test_a_whole_body_may_be_optional() -> None:
    """Nothing sent is the default; what is sent must still be an object."""
    assert decode(OptionalBody).content is None
    assert decode(OptionalBody, body=b'{"a": 1}').content == {"a": 1}
    assert refusal(OptionalBody, body=b"[]") == ErrCode.BAD_JSON


def test_a_struct_may_check_itself() -> None:
    """A ValueError of `__post_init__` is M_BAD_JSON."""
    assert refusal(Checked, body=b'{"name": ""}') == ErrCode.BAD_JSON


@pytest.mark.parametrize(
    "value",
    [
        b"1" + b"0" * 30,
        b"9" * 5000,
        b"9223372036854775808",
        b"-9223372036854775809",
        b"18446744073709551616",
        b"1e999",
        b"[" * 101 + b"]" * 101,
        b'{"a":' * 101 + b"1" + b"}" * 101,
        b'[{"a":' * 60 + b"1" + b"}]" * 60,
    ],
)
def test_huge_numbers_and_deep_nesting_are_bad_json(value: bytes) -> None:
    """Wherever they stand, keys that nobody reads included for depth and integers."""
    assert refusal(Send, body=b'{"a": ' + value + b"}", room_id="!r") == ErrCode.BAD_JSON


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_nesting_without_end_is_refused(opening: bytes) -> None:
    """A body of nothing but opening brackets is an error, not a crash."""
    errcode = refusal(Login, body=b'{"type": "x", "z": ' + opening * 100_000)

    assert errcode == ErrCode.BAD_JSON


@pytest.mark.parametrize(
    "value",
    [
        b"9223372036854775807",
        b"-9223372036854775807",
        b"0.1234567890123456789012",
        b"1e-0000000000000000000001",
        b'"9999999999999999999999999"',
        b'"\\"9999999999999999999999999"',
        b'"' + b"[{" * 500 + b'"',
        b"[" * 98 + b"]" * 98,
        b"[" + b"[]," * 500 + b"[]]",
        b"1.5e300",
    ],
)
def test_what_only_looks_huge_or_deep_is_taken(value: bytes) -> None:
    """Digits and brackets in strings, long fractions, many brackets side by side."""
    assert "a" in decode(Send, body=b'{"a": ' + value + b"}", room_id="!r").content
