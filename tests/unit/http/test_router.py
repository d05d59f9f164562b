"""How a request finds its endpoint."""

from typing import Any

import pytest

from chamberlain.http.endpoint import Auth, Context, Endpoint, Path, Request, endpoint, endpoints_of, holes_of
from chamberlain.http.router import MethodNotAllowed, Router
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import InvalidParam, MatrixError

ROOMS = "/_matrix/client/v3/rooms/{room}"


def route(path: str, method: str = "GET", **options: Any) -> Endpoint:
    """An endpoint at a path, whatever its holes."""
    fields = {name: Path[str] for name in holes_of(path)}
    request = type("Anything", (Request,), {"__annotations__": fields})

    async def act(ctx: Context, request: Any) -> None:
        """Do something."""

    act.__annotations__ = {"request": request}
    endpoint(method, path, auth=Auth.NONE, **options)(act)
    return endpoints_of(act)[0]


STATE = route(ROOMS + "/state")
STATE_EVENT = route(ROOMS + "/state/{kind}/{key}")
SET_STATE = route(ROOMS + "/state/{kind}/{key}", "PUT")
MEMBERS = route(ROOMS + "/members")
HIERARCHY_V1 = route("/_matrix/client/v1/rooms/{room}/hierarchy")
MEMBERS_R0 = route("/_matrix/client/r0/rooms/{room}/members")
RULES = route("/_matrix/client/v3/pushrules/")
FILES = route("/console/{path}", path_tail=True)
ROUTER = Router([STATE, STATE_EVENT, SET_STATE, MEMBERS, HIERARCHY_V1, MEMBERS_R0, RULES, FILES])


@pytest.mark.parametrize(
    ("path", "wanted", "holes"),
    [
        (b"/_matrix/client/v3/rooms/!a%3Ab/state", STATE, {"room": "!a:b"}),
        (b"/_matrix/client/v3/rooms/!a:b/state/", STATE, {"room": "!a:b"}),
        (b"/_matrix/client/v3/rooms/r/state/m.x/", STATE_EVENT, {"room": "r", "kind": "m.x", "key": ""}),
        (
            b"/_matrix/client/v3/rooms/r/state/m.x/a%2Fb",
            STATE_EVENT,
            {"room": "r", "kind": "m.x", "key": "a/b"},
        ),
        (
            b"/_matrix/client/v3/rooms/r/state/m.x/%2525",
            STATE_EVENT,
            {"room": "r", "kind": "m.x", "key": "%25"},
        ),
        (
            b"/_matrix/client/v3/rooms/r/state/m.x/a+b",
            STATE_EVENT,
            {"room": "r", "kind": "m.x", "key": "a+b"},
        ),
        ("/_matrix/client/v3/rooms/ü/state".encode(), STATE, {"room": "ü"}),
        (b"/_matrix/client/v3/rooms/%C3%BC/state", STATE, {"room": "ü"}),
        (b"/_matrix/client/v3/rooms/state/state", STATE, {"room": "state"}),
        (b"/_matrix/client/v3/pushrules/", RULES, {}),
        (b"/_matrix/client/v3/pushrules", RULES, {}),
        (b"/console/a/b.js", FILES, {"path": "a/b.js"}),
        (b"/console/", FILES, {"path": ""}),
    ],
)
def test_a_path_finds_its_endpoint(path: bytes, wanted: Endpoint, holes: dict[str, str]) -> None:
    """Segments are decoded after they are matched, and a trailing slash does no harm."""
    assert ROUTER.find("GET", path) == (wanted, holes)


@pytest.mark.parametrize("version", [b"r0", b"v1", b"v2", b"v3"])
def test_every_version_of_a_client_path_answers(version: bytes) -> None:
    """What is declared for v3 answers under the older prefixes too."""
    assert ROUTER.find("GET", b"/_matrix/client/" + version + b"/rooms/r/state")[0] is STATE


def test_a_declared_path_wins_over_an_older_version_of_another() -> None:
    """The endpoint declared at r0 is the one found there."""
    assert ROUTER.find("GET", b"/_matrix/client/r0/rooms/r/members")[0] is MEMBERS_R0
    assert ROUTER.find("GET", b"/_matrix/client/v3/rooms/r/members")[0] is MEMBERS


@pytest.mark.parametrize(
    "path",
    [
        b"/",
        b"",
        b"/_matrix/client/v3/nothing",
        b"/_matrix/client/v3/rooms",
        b"/_matrix/client/v3/rooms//state",
        b"/_matrix/client/v3//rooms/r/state",
        b"/_matrix/client/v3/rooms/r/state/m.x/k/more",
        b"/_matrix/client/v3/rooms/r/hierarchy",
        b"/_matrix/client/v4/rooms/r/state",
        b"_matrix/client/v3/rooms/r/state",
    ],
)
def test_an_unknown_path_is_unrecognized(path: bytes) -> None:
    """M_UNRECOGNIZED with status 404; paths declared for v1 answer there alone."""
    with pytest.raises(MatrixError) as refusal:
        ROUTER.find("GET", path)

    assert (refusal.value.code, refusal.value.status) == (ErrCode.UNRECOGNIZED, 404)


def test_a_known_path_with_another_method_says_which_it_has() -> None:
    """M_UNRECOGNIZED with status 405; HEAD is not answered by what is declared for GET."""
    for method in ("DELETE", "HEAD"):
        with pytest.raises(MethodNotAllowed) as refusal:
            ROUTER.find(method, b"/_matrix/client/v3/rooms/r/state/m.x/k")

        assert (refusal.value.code, refusal.value.status) == (ErrCode.UNRECOGNIZED, 405)
        assert refusal.value.allowed == "GET, PUT"


def test_a_trailing_slash_is_read_so_that_the_method_fits() -> None:
    """`PUT /state/m.x/` is the endpoint with an empty key though `GET /state` is nearer."""
    assert ROUTER.find("PUT", b"/_matrix/client/v3/rooms/r/state/m.x/")[1]["key"] == ""


def test_a_literal_segment_does_not_hide_a_hole() -> None:
    """Where a literal leads nowhere, the hole beside it is tried."""
    literal, hole = route("/a/b/c"), route("/a/{x}/d")
    router = Router([literal, hole])

    assert router.find("GET", b"/a/b/c")[0] is literal
    assert router.find("GET", b"/a/b/d") == (hole, {"x": "b"})


@pytest.mark.parametrize("segment", [b"%", b"%4", b"%zz", b"%ff", b"\xff", b"%00", b"%C3", b"%ED%A0%80"])
def test_a_segment_that_cannot_be_decoded_is_an_invalid_parameter(segment: bytes) -> None:
    """Bad percent encoding, bad UTF-8 and U+0000 are a 400."""
    with pytest.raises(InvalidParam):
        ROUTER.find("GET", b"/_matrix/client/v3/rooms/" + segment + b"/state")


def test_a_long_path_of_slashes_costs_no_time() -> None:
    """A path of many empty segments ends in a 404, not in a search."""
    with pytest.raises(MatrixError):
        ROUTER.find("GET", b"/_matrix" + b"/" * 50_000)
