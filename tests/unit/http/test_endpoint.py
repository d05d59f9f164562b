"""What a declaration of an endpoint says, and which ones are refused at import."""

from typing import Any

import msgspec
import pytest

from chamberlain.http.endpoint import (
    Auth,
    Body,
    Context,
    In,
    Limit,
    Path,
    Query,
    Request,
    Upload,
    endpoint,
    endpoints_of,
    place_of,
)
from chamberlain.http.router import Router
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.ids import RoomID
from chamberlain.matrix.types import JsonObject


class OneRoom(Request):
    room_id: Path[RoomID]


class TwoBodies(Request):
    content: Body[JsonObject]
    name: str


class Key(Request):
    name: str = ""


class OptionalHole(Request):
    room_id: Path[RoomID]
    state_key: Path[str] = ""


async def documented(ctx: Context, request: OneRoom) -> None:
    """Do something.

    At length.
    """


async def undocumented(ctx: Context, request: OneRoom) -> None: ...


async def with_two_bodies(ctx: Context, request: TwoBodies) -> None:
    """Do something."""


async def with_key(ctx: Context, request: Key) -> None:
    """Do something."""


async def with_optional_hole(ctx: Context, request: OptionalHole) -> None:
    """Do something."""


async def oddly_named(context: Context) -> None:
    """Do something."""


def test_a_declaration_is_left_on_the_function() -> None:
    """The record has the name, the docstring in two parts and the defaults."""

    @endpoint("POST", "/rooms/{room_id}", auth=Auth.ACCESS_TOKEN, errors=(ErrCode.FORBIDDEN,))
    @endpoint("GET", "/rooms/{room_id}", auth=Auth.ADMIN)
    async def act(ctx: Context, request: OneRoom) -> None:
        """Do something.

        At length.
        """

    read, write = endpoints_of(act)

    assert (read.name, read.method, read.limit) == ("test_endpoint.act", "GET", Limit.ADMIN)
    assert (write.method, write.limit, write.errors) == ("POST", Limit.WRITE, (ErrCode.FORBIDDEN,))
    assert (read.summary, read.description) == ("Do something.", "At length.")
    assert read.request is OneRoom


def test_what_servers_sign_is_counted_for_each_server() -> None:
    """The limit class of requests between servers, whatever the method."""

    @endpoint("PUT", "/send", auth=Auth.SIGNED_REQUEST)
    @endpoint("GET", "/send", auth=Auth.SIGNED_REQUEST)
    async def act(ctx: Context) -> None:
        """Do something."""

    assert [record.limit for record in endpoints_of(act)] == [Limit.REMOTE] * 2


def test_fields_know_their_place() -> None:
    """A marker names the place; without one a field is a key of the body, and an Upload is the body itself."""

    class Everything(Request):
        room_id: Path[RoomID]
        limit: Query[int | None] = None
        name: str
        file: Upload

    places = {field.name: place_of(field)[0] for field in msgspec.structs.fields(Everything)}

    assert places == {"room_id": In.PATH, "limit": In.QUERY, "name": In.KEY, "file": In.UPLOAD}


@pytest.mark.parametrize(
    ("handler", "method", "path", "options"),
    [
        (undocumented, "GET", "/rooms/{room_id}", {}),
        (documented, "GET", "/rooms/{room}", {}),
        (documented, "GET", "/rooms", {}),
        (documented, "GET", "/rooms/{room_id}/{other}", {}),
        (documented, "GET", "rooms/{room_id}", {}),
        (documented, "GET", "/rooms/x{room_id}", {}),
        (documented, "GET", "/rooms/{room_id}?x", {}),
        (documented, "FETCH", "/rooms/{room_id}", {}),
        (documented, "GET", "/rooms/{room_id}", {"errors": ("M_FORBIDDEN",)}),
        (documented, "GET", "/rooms/{room_id}", {"aliases": ("/r0/rooms",)}),
        (documented, "GET", "/rooms/{room_id}/members", {"path_tail": True}),
        (with_two_bodies, "PUT", "/x", {}),
        (with_key, "GET", "/x", {}),
        (oddly_named, "GET", "/x", {}),
    ],
)
def test_a_declaration_that_cannot_be_right_is_refused(
    handler: Any, method: str, path: str, options: dict[str, Any]
) -> None:
    """Each mistake is a TypeError while the module is imported."""
    with pytest.raises(TypeError):
        endpoint(method, path, auth=Auth.NONE, **options)(handler)


def test_an_alias_may_lack_a_hole_with_a_default() -> None:
    """`/state/{type}` can stand for `/state/{type}/` with an empty key."""

    @endpoint("GET", "/x/{room_id}/{state_key}", aliases=("/x/{room_id}",), auth=Auth.NONE)
    async def act(ctx: Context, request: OptionalHole) -> None:
        """Do something."""

    (record,) = endpoints_of(act)

    assert Router([record]).find("GET", b"/x/r") == (record, {"room_id": "r"})


def test_two_endpoints_on_one_route_are_refused() -> None:
    """However their holes are named."""

    @endpoint("GET", "/x/{room_id}", auth=Auth.NONE)
    @endpoint("GET", "/x/{room_id}/", auth=Auth.NONE)
    async def act(ctx: Context, request: OneRoom) -> None:
        """Do something."""

    with pytest.raises(TypeError, match="is declared by"):
        Router(endpoints_of(act))


def test_a_plain_function_is_no_endpoint() -> None:
    """What was not declared, or is no coroutine function, has no records."""
    assert endpoints_of(documented) == []
    assert endpoints_of(object()) == []
