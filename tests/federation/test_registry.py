"""What each endpoint for servers answers to requests that are unsigned, spoiled, or about what leads nowhere."""

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
import pytest_asyncio

from chamberlain.http import registry
from chamberlain.http.endpoint import Auth, Endpoint, In
from tests.support.asgi import Answer, call
from tests.support.peer import Peer
from tests.support.server import Server
from tests.support.surface import Field, Parts, fields_of, reads_json, with_holes
from tests.support.wire import Wire

pytestmark = pytest.mark.asyncio(loop_scope="module")

ENDPOINTS = [endpoint for endpoint in registry.load() if endpoint.auth is Auth.SIGNED_REQUEST]
READING = [endpoint for endpoint in ENDPOINTS if reads_json(endpoint)]
QUERIES = [(endpoint, field) for endpoint in ENDPOINTS for field in fields_of(endpoint, In.QUERY)]
HOLES = list(with_holes(ENDPOINTS))
NOWHERE = {
    "room_id": ("!nowhere:near.test", "!nowhere:elsewhere.test", "!nowhere"),
    "user_id": ("@nobody:near.test", "@eve:far.test", "nobody", "@"),
    "event_id": ("$nothing", "$nothing:far.test", "nothing"),
}
HOSTILE = (
    "%2F",
    "a%2F..%2Fb",
    "%F0%9F%A6%80",
    "%E2%80%AE",
    "%0D%0A",
    "%21" + "a" * 10_000 + "%3Anear.test",
    "%24" + "a" * 10_000,
    "%40" + "a" * 10_000 + "%3Anear.test",
)


class Ground:
    """A server with a private room, and another one that asks it."""

    def __init__(self, server: Server, peer: Peer, names: dict[str, str]) -> None:
        self.server = server
        self.peer = peer
        self.names = names

    def parts(self, endpoint: Endpoint, **names: str) -> Parts:
        """A request that fits."""
        return Parts(endpoint, self.names | names)

    async def send(self, parts: Parts) -> Answer:
        """The answer to a signed request; it is an error of Matrix or none."""
        found = await self.peer.request("near.test", parts.endpoint.method, parts.target, parts.body)
        is_json = found.headers.get("content-type", "").startswith("application/json")
        answer = Answer(
            found.status, dict(found.headers), orjson.loads(found.body) if is_json else None, found.body
        )
        shown = f"{parts.target[:300]} {str(parts.body)[:300]}: {answer.status} {answer.body[:300]!r}"
        assert answer.status < 500, shown
        if answer.status >= 400:
            assert "errcode" in answer.json, shown
        return answer

    async def unsigned(self, parts: Parts, headers: dict[str, str]) -> Answer:
        """The answer to a request as it is."""
        return await call(self.server.app.asgi, parts.endpoint.method, parts.target, headers, parts.body)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ground(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Ground]:
    """The servers of this module of tests."""
    wire = Wire()
    server = await wire.add("near.test", tmp_path_factory.mktemp("ground"))
    user = await server.register("alice")
    room = await user.create_room()
    names = {
        "room_id": room,
        "event_id": await user.say(room, "hello"),
        "user_id": user.user_id,
        "device_id": user.device_id,
    }
    yield Ground(server, Peer.on(wire, "far.test"), names)
    await wire.stop()


def named(value: object) -> str:
    """How a test is called."""
    if isinstance(value, Endpoint):
        return f"{value.method} {value.path}"
    return value.wire_name if isinstance(value, Field) else str(value)


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=named)
async def test_without_a_good_signature(ground: Ground, endpoint: Endpoint) -> None:
    """401 M_UNAUTHORIZED, before anything is looked at."""
    parts = ground.parts(endpoint)
    token = 'X-Matrix origin="far.test",key="ed25519:peer",sig="'
    for header in (
        "",
        "Bearer x",
        "X-Matrix",
        "X-Matrix origin=far.test",
        f'{token}"',
        f'{token}{"A" * 86}"',
    ):
        answer = await ground.unsigned(parts, {"authorization": header} if header else {})
        answer.error(401, "M_UNAUTHORIZED")


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=named)
async def test_signed_by_a_server_that_cannot_be_asked_for_its_key(
    ground: Ground, endpoint: Endpoint
) -> None:
    """401 M_UNAUTHORIZED."""
    stranger = Peer("stranger.test")
    stranger.reach = ground.peer.reach
    parts = ground.parts(endpoint)
    answer = await stranger.request("near.test", endpoint.method, parts.target, _canonical(parts.body))
    assert (answer.status, orjson.loads(answer.body)["errcode"]) == (401, "M_UNAUTHORIZED")


def _canonical(body: Any) -> Any:
    return (
        body if body is None or isinstance(body, bytes) else orjson.dumps(body, option=orjson.OPT_SORT_KEYS)
    )


@pytest.mark.parametrize("endpoint", READING, ids=named)
async def test_a_body_that_is_not_what_it_takes(ground: Ground, endpoint: Endpoint) -> None:
    """400."""
    parts = ground.parts(endpoint)
    whole = fields_of(endpoint, In.BODY)
    for body in (
        b"{",
        b"no json",
        b"\xff",
        b"[]",
        b'"x"',
        b"5",
        b"null",
        b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    ):
        try:
            takes = bool(whole) and whole[0].takes(orjson.loads(body))
        except ValueError:
            takes = False
        if not takes:
            parts.body = body
            assert (await ground.send(parts)).status == 400, body[:20]


@pytest.mark.parametrize("endpoint", READING, ids=named)
async def test_a_body_that_is_too_long(ground: Ground, endpoint: Endpoint) -> None:
    """413 M_TOO_LARGE."""
    parts = ground.parts(endpoint)
    parts.body = b'{"a":"' + b"a" * endpoint.max_body + b'"}'
    (await ground.send(parts)).error(413, "M_TOO_LARGE")


@pytest.mark.parametrize("endpoint", READING, ids=named)
async def test_keys_that_are_missing_or_of_the_wrong_type(ground: Ground, endpoint: Endpoint) -> None:
    """400."""
    for field in fields_of(endpoint, In.KEY):
        for value in field.wrong_values():
            parts = ground.parts(endpoint)
            parts.body[field.wire_name] = value
            if not isinstance(value, float):
                assert (await ground.send(parts)).status == 400, (field.wire_name, value)
        if field.is_required:
            parts = ground.parts(endpoint)
            del parts.body[field.wire_name]
            (await ground.send(parts)).error(400, "M_MISSING_PARAM")


@pytest.mark.parametrize(("endpoint", "field"), QUERIES, ids=named)
async def test_query_values_that_are_missing_or_of_the_wrong_type(
    ground: Ground, endpoint: Endpoint, field: Field
) -> None:
    """400."""
    for text in field.wrong_texts():
        parts = ground.parts(endpoint)
        parts.query[field.wire_name] = text
        (await ground.send(parts)).error(400, "M_INVALID_PARAM")
    if field.is_required:
        parts = ground.parts(endpoint)
        del parts.query[field.wire_name]
        (await ground.send(parts)).error(400, "M_MISSING_PARAM")


@pytest.mark.parametrize(("endpoint", "hole"), HOLES, ids=named)
async def test_ids_that_lead_nowhere(ground: Ground, endpoint: Endpoint, hole: str) -> None:
    """Unknown rooms, users and events, and those of other servers: nothing is given."""
    for value in NOWHERE.get(hole, ()):
        answer = await ground.send(ground.parts(endpoint, **{hole: value}))
        assert answer.status in (400, 403, 404), answer


@pytest.mark.parametrize("endpoint", [e for e, hole in HOLES if hole == "room_id"], ids=named)
async def test_a_room_that_the_asking_server_is_not_in(ground: Ground, endpoint: Endpoint) -> None:
    """Nothing is given."""
    answer = await ground.send(ground.parts(endpoint))
    assert answer.status in (400, 403, 404), answer


@pytest.mark.parametrize(("endpoint", "hole"), HOLES, ids=named)
async def test_ids_that_are_no_ids(ground: Ground, endpoint: Endpoint, hole: str) -> None:
    """Hostile ones are never a server error; those that are no text: 400 M_INVALID_PARAM."""
    for value in HOSTILE:
        parts = ground.parts(endpoint)
        parts.holes[hole] = value
        await ground.send(parts)
    for value in ("a%00b", "%ff", "%ED%A0%80", "%", "%zz"):
        parts = ground.parts(endpoint)
        parts.holes[hole] = value
        (await ground.send(parts)).error(400, "M_INVALID_PARAM")
