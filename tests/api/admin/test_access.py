"""Who may call the administration APIs at all: generated from the registry."""

import pytest

from chamberlain.http import registry
from chamberlain.http.endpoint import Auth, Endpoint, holes_of, is_admin
from tests.api.admin.asking import SYNAPSE, calls
from tests.support.asgi import call
from tests.support.server import Client, Server

OPEN = {"/_synapse/admin/v1/register", "/_synapse/admin/v1/server_version"}
ADMIN = [
    (record, path)
    for record in registry.load()
    if is_admin(record) and record.auth is not Auth.NONE
    for path in (record.path, *record.aliases)
]


def filled(path: str) -> str:
    """The path with something in its holes."""
    for hole in holes_of(path):
        value = {"room_id": "%21r:example.org", "user_id": "%40admin:example.org"}.get(hole, "x")
        path = path.replace("{" + hole + "}", value)
    return path


@pytest.mark.parametrize(("record", "path"), ADMIN, ids=[f"{r.method} {p}" for r, p in ADMIN])
async def test_only_administrators_get_in(server: Server, alice: Client, record: Endpoint, path: str) -> None:
    """Without a token 401, with an ordinary user's 403, before anything of the body is looked at."""
    for body in (None, b"no JSON"):
        anonymous = await server.anonymous.request(record.method, filled(path), body)
        anonymous.error(401, "M_MISSING_TOKEN")
        ordinary = await alice.request(record.method, filled(path), body)
        ordinary.error(403, "M_FORBIDDEN")


async def test_only_these_are_open() -> None:
    """No administration endpoint is open to all by accident."""
    paths = {record.path for record in registry.load() if is_admin(record) and record.auth is Auth.NONE}

    assert paths == OPEN | {"/_chamberlain/admin/v1/openapi.json", "/_chamberlain/admin/v1/server_version"}


async def test_a_token_in_the_query_is_for_matrix_paths_alone(server: Server, root: Client) -> None:
    """Links with a token in them cannot administrate."""
    for path in (f"{SYNAPSE}/rooms", "/_dendrite/admin/evacuateUser/x", "/_chamberlain/admin/v1/users"):
        answer = await server.anonymous.get(f"{path}?access_token={root.token}")
        answer.error(401, "M_MISSING_TOKEN")
    whois = f"/_matrix/client/r0/admin/whois/{root.user_id}?access_token={root.token}"
    assert (await server.anonymous.get(whois)).status == 200


async def test_an_administrator_who_is_demoted_is_out_at_once(server: Server, root: Client) -> None:
    """The next call with the same token is refused."""
    other = await server.admin("other")
    (await root.put(f"{SYNAPSE}/users/{other.user_id}/admin", {"admin": False})).ok()

    (await other.get(f"{SYNAPSE}/rooms")).error(403, "M_FORBIDDEN")


async def test_the_local_socket_acts_as_the_owner(server: Server, root: Client, alice: Client) -> None:
    """Who may open the socket in the data folder administrates without an account, and is named in the audit log."""
    app = server.app.asgi
    path = f"/_chamberlain/admin/v1/users/{alice.user_id}/locked"
    done = await call(app, "PUT", path, {}, {"locked": True}, state={"local_admin": True})
    whoami = await call(app, "GET", "/_matrix/client/v3/account/whoami", {}, state={"local_admin": True})

    assert done.ok() == {}
    whoami.error(401, "M_MISSING_TOKEN")
    (await alice.get("account/whoami")).error(401, "M_USER_LOCKED")
    (logged,) = await calls(root, operation="users.set_locked")
    assert logged["fields"]["actor"] == "local socket"
