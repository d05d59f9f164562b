"""What each endpoint of the registry answers to parameters of the wrong type, and to missing ones."""

from urllib.parse import quote

import orjson
import pytest

from chamberlain.http import registry
from chamberlain.http.endpoint import Auth, Endpoint, In
from tests.api.registry.conftest import Ground
from tests.support.surface import Field, fields_of, reads_json

pytestmark = pytest.mark.asyncio(loop_scope="module")

ENDPOINTS = [e for e in registry.load() if e.auth not in (Auth.APPSERVICE, Auth.SIGNED_REQUEST)]
READING = [e for e in ENDPOINTS if reads_json(e)]
REFUSED = ("M_BAD_JSON", "M_INVALID_PARAM", "M_MISSING_PARAM")

NOT_JSON = (
    b"{",
    b"no json",
    b"{'a': 1}",
    b'{"a": NaN}',
    b"\xff",
    b'{"a": "\xff"}',
    b"\x00",
)


def named(value: object) -> str:
    """How a test is called."""
    if isinstance(value, Endpoint):
        return f"{value.method} {value.path}"
    return value.wire_name if isinstance(value, Field) else ""


def each_field(place: In) -> list[tuple[Endpoint, Field]]:
    """Each endpoint with each of its fields in this place."""
    return [(endpoint, field) for endpoint in ENDPOINTS for field in fields_of(endpoint, place)]


@pytest.mark.parametrize("endpoint", READING, ids=named)
async def test_a_body_that_is_no_json(ground: Ground, endpoint: Endpoint) -> None:
    """400 M_NOT_JSON."""
    parts = await ground.parts(endpoint)

    for body in NOT_JSON:
        parts.body = body
        (await ground.send(parts)).error(400, "M_NOT_JSON")


@pytest.mark.parametrize("endpoint", READING, ids=named)
async def test_a_body_that_is_no_object(ground: Ground, endpoint: Endpoint) -> None:
    """400 M_BAD_JSON, but for the endpoints that take another thing."""
    parts = await ground.parts(endpoint)
    whole = fields_of(endpoint, In.BODY)

    for body in (b"[]", b'"x"', b"5", b"1.5", b"true", b"null", b'["a"]'):
        if not (whole and whole[0].takes(orjson.loads(body))):
            parts.body = body
            (await ground.send(parts)).error(400, "M_BAD_JSON")


@pytest.mark.parametrize("endpoint", READING, ids=named)
async def test_a_body_beyond_all_bounds(ground: Ground, endpoint: Endpoint) -> None:
    """Nested too deeply, with numbers too large: 400 M_BAD_JSON; too many bytes: 413 M_TOO_LARGE."""
    parts = await ground.parts(endpoint)

    for body in (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, b"[" * 100_000, b'{"a": 99999999999999999999999}'):
        parts.body = body
        (await ground.send(parts)).error(400, "M_BAD_JSON")
    parts.body = b'{"a":"' + b"a" * endpoint.max_body + b'"}'
    (await ground.send(parts)).error(413, "M_TOO_LARGE")


@pytest.mark.parametrize(("endpoint", "field"), each_field(In.KEY), ids=named)
async def test_a_key_of_the_wrong_type(ground: Ground, endpoint: Endpoint, field: Field) -> None:
    """400 with the errcode that says so."""
    parts = await ground.parts(endpoint)

    for value in field.wrong_values():
        parts.body[field.wire_name] = value
        answer = await ground.send(parts)
        assert (answer.status, answer.json.get("errcode") in REFUSED) == (400, True), (value, answer)


@pytest.mark.parametrize(
    ("endpoint", "field"), [(e, f) for e, f in each_field(In.KEY) if f.is_required], ids=named
)
async def test_a_missing_key(ground: Ground, endpoint: Endpoint, field: Field) -> None:
    """400 M_MISSING_PARAM."""
    parts = await ground.parts(endpoint)
    del parts.body[field.wire_name]

    (await ground.send(parts)).error(400, "M_MISSING_PARAM")


@pytest.mark.parametrize(
    ("endpoint", "field"), [(e, f) for e, f in each_field(In.QUERY) if f.wrong_texts()], ids=named
)
async def test_a_query_value_of_the_wrong_type(ground: Ground, endpoint: Endpoint, field: Field) -> None:
    """400 M_INVALID_PARAM."""
    parts = await ground.parts(endpoint)

    for text in field.wrong_texts():
        parts.query[field.wire_name] = text
        (await ground.send(parts)).error(400, "M_INVALID_PARAM")


@pytest.mark.parametrize(
    ("endpoint", "field"), [(e, f) for e, f in each_field(In.QUERY) if f.is_required], ids=named
)
async def test_a_missing_query_value(ground: Ground, endpoint: Endpoint, field: Field) -> None:
    """400 M_MISSING_PARAM."""
    parts = await ground.parts(endpoint)
    del parts.query[field.wire_name]

    (await ground.send(parts)).error(400, "M_MISSING_PARAM")


@pytest.mark.parametrize("endpoint", [e for e in ENDPOINTS if fields_of(e, In.QUERY)], ids=named)
async def test_a_query_string_that_is_no_text(ground: Ground, endpoint: Endpoint) -> None:
    """Bytes that are not UTF-8, and U+0000: 400 M_INVALID_PARAM."""
    parts = await ground.parts(endpoint)
    caller = await ground.caller(endpoint)
    path = parts.target.partition("?")[0]

    for query in ("a=%ff", "a=%00", "%ed%a0%80=1"):
        answer = await ground.ask(caller, endpoint.method, f"{path}?{query}", parts.body)
        answer.error(400, "M_INVALID_PARAM")


async def test_texts_too_long_to_be_looked_for(ground: Ground) -> None:
    """400 M_INVALID_PARAM from every search by a pattern, on either side of what databases take."""
    user, admin = await ground.user(), await ground.admin()
    for term in ("x" * 70_000, "%_!" * 20_000, "\u00e9" * 30_000):
        asked = [
            await ground.ask(user, "POST", "user_directory/search", {"search_term": term}),
            await ground.ask(user, "POST", "publicRooms", {"filter": {"generic_search_term": term}}),
            await ground.ask(admin, "GET", f"/_synapse/admin/v2/users?name={quote(term)}"),
            await ground.ask(admin, "GET", f"/_synapse/admin/v2/users?user_id={quote(term)}"),
            await ground.ask(admin, "GET", f"/_synapse/admin/v1/rooms?search_term={quote(term)}"),
        ]
        for answer in asked:
            answer.error(400, "M_INVALID_PARAM")
    for term in ("x" * 10_000, "%_!" * 3_000, "\U0001f980" * 10_000):
        (await ground.ask(user, "POST", "user_directory/search", {"search_term": term})).ok()
