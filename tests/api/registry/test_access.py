"""Who may call each endpoint of the registry."""

import pytest

from chamberlain.http import registry
from chamberlain.http.endpoint import Auth, Endpoint
from tests.api.registry.conftest import Ground
from tests.support.server import Client

pytestmark = pytest.mark.asyncio(loop_scope="module")

ENDPOINTS = registry.load()
FOR_USERS = (Auth.ACCESS_TOKEN, Auth.GUEST_OK, Auth.APPSERVICE, Auth.ADMIN)


def named(endpoint: Endpoint) -> str:
    """How a test of an endpoint is called."""
    return f"{endpoint.method} {endpoint.path}"


with_token = pytest.mark.parametrize("endpoint", [e for e in ENDPOINTS if e.auth in FOR_USERS], ids=named)


@with_token
async def test_without_a_token(ground: Ground, endpoint: Endpoint) -> None:
    """401 M_MISSING_TOKEN, whatever else is wrong with the request."""
    parts = await ground.parts(endpoint)
    parts.body = b"no json"

    (await ground.send(parts, ground.server.anonymous)).error(401, "M_MISSING_TOKEN")


@pytest.mark.parametrize("endpoint", [e for e in ENDPOINTS if e.auth is Auth.SIGNED_REQUEST], ids=named)
async def test_without_the_signature_of_a_server(ground: Ground, endpoint: Endpoint) -> None:
    """401 M_UNAUTHORIZED for everybody else, users and administrators of this server among them."""
    parts = await ground.parts(endpoint)

    for client in (ground.server.anonymous, await ground.user(), await ground.admin()):
        (await ground.send(parts, client)).error(401, "M_UNAUTHORIZED")


@pytest.mark.parametrize(
    "endpoint", [e for e in ENDPOINTS if e.auth in (*FOR_USERS, Auth.OPTIONAL)], ids=named
)
async def test_with_a_token_that_is_none(ground: Ground, endpoint: Endpoint) -> None:
    """401 M_UNKNOWN_TOKEN, where the token is optional too."""
    parts = await ground.parts(endpoint)

    for token in ("nonsense", "syt_YWxpY2U_aaaaaaaaaaaaaaaaaaaa_000000", "\xff\xfe", "a" * 10_000):
        answer = await ground.send(parts, Client(ground.server, token))
        answer.error(401, "M_UNKNOWN_TOKEN")


@pytest.mark.parametrize(
    "endpoint", [e for e in ENDPOINTS if e.auth in (Auth.ADMIN, Auth.APPSERVICE)], ids=named
)
async def test_what_is_not_for_users(ground: Ground, endpoint: Endpoint) -> None:
    """403 M_FORBIDDEN for all but administrators, or application services, before the body is looked at."""
    parts = await ground.parts(endpoint)
    parts.body = b"no json"
    parts.query = {"limit": "wrong"}

    (await ground.send(parts, await ground.user())).error(403, "M_FORBIDDEN")
    if endpoint.auth is Auth.APPSERVICE:
        (await ground.send(parts, await ground.admin())).error(403, "M_FORBIDDEN")


@pytest.mark.parametrize("endpoint", [e for e in ENDPOINTS if e.auth is Auth.ACCESS_TOKEN], ids=named)
async def test_what_is_not_for_guests(ground: Ground, endpoint: Endpoint) -> None:
    """403 M_GUEST_ACCESS_FORBIDDEN."""
    parts = await ground.parts(endpoint)

    (await ground.send(parts, await ground.guest())).error(403, "M_GUEST_ACCESS_FORBIDDEN")


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=named)
async def test_with_a_method_that_it_does_not_have(ground: Ground, endpoint: Endpoint) -> None:
    """405 M_UNRECOGNIZED."""
    parts = await ground.parts(endpoint)
    user = await ground.user()

    (await ground.ask(user, "PATCH", parts.target, {})).error(405, "M_UNRECOGNIZED")
