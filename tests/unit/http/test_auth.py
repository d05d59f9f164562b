"""Who may call what."""

from typing import Any

import msgspec
import pytest

from chamberlain.accounts.requester import Requester
from chamberlain.config.listeners import Listener
from chamberlain.http.endpoint import Auth, Context, endpoint
from chamberlain.matrix.ids import DeviceID, UserID
from chamberlain.matrix.types import JsonObject
from tests.support.asgi import call
from tests.support.edge import ALICE, Edge

BEARER = {"Authorization": "Bearer alice"}


def whoami(auth: Auth, path: str = "/_matrix/client/v3/whoami", **options: Any) -> Any:
    """An endpoint that tells who asks."""

    @endpoint("GET", path, auth=auth, **options)
    async def act(ctx: Context) -> JsonObject:
        """Tell who asks."""
        return {"user_id": ctx.found_requester.user_id if ctx.found_requester else None}

    return act


async def ask(edge: Edge, target: str = "/_matrix/client/v3/whoami", **headers: str) -> Any:
    """The answer to a GET."""
    return await call(edge.app, "GET", target, headers)


@pytest.mark.parametrize("header", ["Bearer alice", "bearer alice", "BEARER  alice"])
async def test_the_token_comes_in_the_header(header: str) -> None:
    """Whatever the case of its scheme."""
    assert (await ask(Edge(whoami(Auth.ACCESS_TOKEN)), authorization=header)).ok() == {"user_id": ALICE}


async def test_below_matrix_the_token_may_come_in_the_query() -> None:
    """The header wins over it."""
    edge = Edge(whoami(Auth.ACCESS_TOKEN))
    target = "/_matrix/client/v3/whoami?x=1&access_token=alice"

    assert (await ask(edge, target)).ok() == {"user_id": ALICE}
    (await ask(edge, target, authorization="Bearer other")).error(401, "M_UNKNOWN_TOKEN")


@pytest.mark.parametrize("prefix", ["/_synapse/admin", "/_dendrite/admin", "/_chamberlain/admin"])
async def test_elsewhere_the_query_holds_no_token(prefix: str) -> None:
    """It would stand in the logs of proxies."""
    edge = Edge(whoami(Auth.ACCESS_TOKEN, f"{prefix}/x"))

    (await ask(edge, f"{prefix}/x?access_token=alice")).error(401, "M_MISSING_TOKEN")
    (await ask(edge, f"{prefix}/x", authorization="Bearer alice")).ok()


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic YTpi", "alice"])
async def test_no_token_is_a_missing_token(header: str) -> None:
    """401, and nothing is recorded."""
    edge = Edge(whoami(Auth.ACCESS_TOKEN))

    (await ask(edge, authorization=header)).error(401, "M_MISSING_TOKEN")
    assert edge.seen.records == []


async def test_a_token_may_be_optional_but_not_wrong() -> None:
    """Without one nobody asks; a bad one is refused."""
    edge = Edge(whoami(Auth.OPTIONAL))

    assert (await ask(edge)).ok() == {"user_id": None}
    assert (await ask(edge, **BEARER)).ok() == {"user_id": ALICE}
    (await ask(edge, authorization="Bearer x")).error(401, "M_UNKNOWN_TOKEN")


async def test_a_token_that_is_not_cached_is_looked_up() -> None:
    """And found all the same."""
    edge = Edge(whoami(Auth.ACCESS_TOKEN))
    edge.tokens.slow.add("alice")

    assert (await ask(edge, **BEARER)).ok() == {"user_id": ALICE}


@pytest.mark.parametrize(
    ("auth", "changes", "refusal"),
    [
        (Auth.ADMIN, {}, (403, "M_FORBIDDEN")),
        (Auth.ADMIN, {"is_admin": True}, None),
        (Auth.APPSERVICE, {}, (403, "M_FORBIDDEN")),
        (Auth.APPSERVICE, {"appservice_id": "irc"}, None),
        (Auth.ACCESS_TOKEN, {"is_guest": True}, (403, "M_GUEST_ACCESS_FORBIDDEN")),
        (Auth.GUEST_OK, {"is_guest": True}, None),
        (Auth.ACCESS_TOKEN, {"is_locked": True}, (401, "M_USER_LOCKED")),
        (Auth.ADMIN, {"is_admin": True, "is_locked": True}, (401, "M_USER_LOCKED")),
    ],
)
async def test_not_everyone_may_call_everything(
    auth: Auth, changes: dict[str, Any], refusal: tuple[int, str] | None
) -> None:
    """Administrators, application services, guests, locked accounts."""
    edge = Edge(whoami(auth))
    edge.tokens.known["alice"] = Requester(user_id=ALICE, **changes)
    answer = await ask(edge, **BEARER)

    if refusal is None:
        answer.ok()
    else:
        answer.error(*refusal)


async def test_a_locked_account_may_log_out() -> None:
    """And is told elsewhere to keep its keys."""
    edge = Edge(
        whoami(Auth.ACCESS_TOKEN), whoami(Auth.ACCESS_TOKEN, "/_matrix/client/v3/logout", allow_locked=True)
    )
    edge.tokens.known["alice"] = Requester(user_id=ALICE, is_locked=True)

    assert (await ask(edge, **BEARER)).error(401, "M_USER_LOCKED")["soft_logout"] is True
    (await ask(edge, "/_matrix/client/v3/logout", **BEARER)).ok()


async def test_a_handler_that_needs_a_requester_gets_one_or_a_refusal() -> None:
    """Asking for it where the token was optional is 401 without one."""

    @endpoint("GET", "/_matrix/client/v3/x", auth=Auth.OPTIONAL)
    async def act(ctx: Context) -> JsonObject:
        """Tell who asks."""
        return {"user_id": ctx.requester.user_id}

    edge = Edge(act)

    (await ask(edge, "/_matrix/client/v3/x")).error(401, "M_MISSING_TOKEN")
    (await ask(edge, "/_matrix/client/v3/x", **BEARER)).ok()


async def test_who_asked_from_where_is_recorded() -> None:
    """With the address behind a trusted proxy, and the user agent."""
    edge = Edge(whoami(Auth.ACCESS_TOKEN))
    headers = BEARER | {"User-Agent": "nio/1", "X-Forwarded-For": "6.6.6.6, 198.51.100.4"}
    listener = {"listener": Listener(trusted_proxies=("127.0.0.1",))}

    await call(edge.app, "GET", "/_matrix/client/v3/whoami", headers, state=listener)
    await call(edge.app, "GET", "/_matrix/client/v3/whoami", headers)

    assert edge.seen.records == [(ALICE, "198.51.100.4", "nio/1"), (ALICE, "127.0.0.1", "nio/1")]


async def test_the_socket_in_the_data_folder_needs_no_token() -> None:
    """Who may open it administers, but is no user; a token, where one is sent, still counts."""
    edge = Edge(whoami(Auth.ADMIN), whoami(Auth.ACCESS_TOKEN, "/_matrix/client/v3/account"))
    local = {"local_admin": True}
    target = "/_matrix/client/v3/whoami"

    assert (await call(edge.app, "GET", target, state=local)).ok() == {"user_id": "@:example.org"}
    (await call(edge.app, "GET", target, BEARER, state=local)).error(403, "M_FORBIDDEN")
    (await call(edge.app, "GET", "/_matrix/client/v3/account", state=local)).error(401, "M_MISSING_TOKEN")
    assert edge.seen.records == []


def test_a_requester_is_a_value() -> None:
    """It can be compared and cannot be changed, since it is shared by requests."""
    first = Requester(user_id=UserID("@a:b"), device_id=DeviceID("D"))

    assert first == Requester(user_id=UserID("@a:b"), device_id=DeviceID("D"))
    with pytest.raises(AttributeError):
        first.is_admin = True  # type: ignore[misc]
    assert msgspec.structs.replace(first, is_admin=True).is_admin
