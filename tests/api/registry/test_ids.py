"""What each endpoint of the registry makes of ids that lead nowhere."""

import pytest

from chamberlain.http import registry
from chamberlain.http.endpoint import Auth, Endpoint
from tests.api.registry.conftest import Ground
from tests.support.surface import with_holes

pytestmark = pytest.mark.asyncio(loop_scope="module")

ENDPOINTS = [e for e in registry.load() if e.auth not in (Auth.APPSERVICE, Auth.SIGNED_REQUEST)]
HOLES = list(with_holes(ENDPOINTS))

NOWHERE = {
    "user_id": (
        "@nobody:example.org",
        "@somebody:elsewhere.example",
        "nobody",
        "@",
        "@:example.org",
        "!x:example.org",
    ),
    "room_id": ("!nowhere:example.org", "!room:elsewhere.example", "!", "!nowhere", "room", "@x:example.org"),
    "event_id": ("$nothing", "$nothing:elsewhere.example", "$", "nothing"),
    "room_alias": ("#nothing:example.org", "#nothing:elsewhere.example", "#", "nothing", "#:example.org"),
    "room_id_or_alias": ("!nowhere:example.org", "#nothing:example.org", "#a:elsewhere.example", "#", "x"),
    "": ("nothing", "-1", "99999999999999999999", "1e400", "..", " "),
}
HOSTILE = (
    "%2F",
    "a%2F..%2Fb",
    "%F0%9F%A6%80",
    "%EF%BF%BF",
    "%E2%80%AE",
    "%0D%0A",
    "%25",
    "%3Cscript%3E",
    "'%20OR%201=1--",
    "%EF%B7%90n",
    "a" * 10_000,
    "%40" + "a" * 10_000 + "%3Aexample.org",
    "%21" + "a" * 10_000 + "%3Aexample.org",
    "%24" + "a" * 10_000,
)


def named(value: object) -> str:
    """How a test is called."""
    return f"{value.method} {value.path}" if isinstance(value, Endpoint) else str(value)


@pytest.mark.parametrize(("endpoint", "hole"), HOLES, ids=named)
async def test_ids_that_lead_nowhere(ground: Ground, endpoint: Endpoint, hole: str) -> None:
    """Unknown ones, those of servers that cannot be reached, those of another kind: never a server error."""
    for value in NOWHERE.get(hole, NOWHERE[""]):
        answer = await ground.send(await ground.parts(endpoint, {hole: value}))
        if hole in NOWHERE and endpoint.auth in (Auth.ACCESS_TOKEN, Auth.GUEST_OK):
            assert answer.status in (200, 400, 403, 404, 502), answer


@pytest.mark.parametrize(("endpoint", "hole"), HOLES, ids=named)
async def test_hostile_ids(ground: Ground, endpoint: Endpoint, hole: str) -> None:
    """Slashes, control characters, markup, 10,000 characters: never a server error."""
    for value in HOSTILE:
        parts = await ground.parts(endpoint)
        parts.holes[hole] = value
        await ground.send(parts)


@pytest.mark.parametrize(("endpoint", "hole"), HOLES, ids=named)
async def test_ids_that_are_no_text(ground: Ground, endpoint: Endpoint, hole: str) -> None:
    """U+0000, bytes that are not UTF-8, percent signs that encode nothing: 400 M_INVALID_PARAM."""
    for value in ("a%00b", "%ff", "%ED%A0%80", "%", "%zz", "%2", "\udcff"):
        parts = await ground.parts(endpoint)
        parts.holes[hole] = value
        (await ground.send(parts)).error(400, "M_INVALID_PARAM")
