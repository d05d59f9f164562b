"""The registry against the facts of the client-server API that `tools/spec_facts.py` has written down."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from chamberlain.http import registry
from chamberlain.http.endpoint import Auth, Endpoint, Limit
from chamberlain.http.router import OLDER_VERSIONS
from chamberlain.matrix.errcodes import STATUS, ErrCode

HERE = Path(__file__).parent
FACTS = tomllib.loads((HERE / "client_server.toml").read_text())
OPERATIONS: dict[str, dict[str, Any]] = FACTS["operations"]
NOT_YET: dict[str, str] = tomllib.loads((HERE / "not_yet.toml").read_text())["operations"]

FITTING = {
    "none": {Auth.NONE, Auth.OPTIONAL},
    "optional": {Auth.OPTIONAL},
    "token": {Auth.ACCESS_TOKEN, Auth.GUEST_OK},
    "appservice": {Auth.APPSERVICE},
}
"""What an endpoint of ours may ask for where the specification asks for this."""

ON_PURPOSE = {
    # Nothing in the answer depends on who asks.
    "GET /_matrix/client/versions": Auth.NONE,
    # A setting lets strangers search, as they may list; without it they get a 401.
    "POST /_matrix/client/v3/publicRooms": Auth.OPTIONAL,
    # The file of the specification names the security of its counterpart between servers.
    "GET /_matrix/client/v1/room_summary/{roomIdOrAlias}": Auth.OPTIONAL,
    # Only administrators may ask, which the specification leaves to the server.
    "GET /_matrix/client/v1/admin/suspend/{userId}": Auth.ADMIN,
    "PUT /_matrix/client/v1/admin/suspend/{userId}": Auth.ADMIN,
    "GET /_matrix/client/v1/admin/lock/{userId}": Auth.ADMIN,
    "PUT /_matrix/client/v1/admin/lock/{userId}": Auth.ADMIN,
}


def key_of(operation: str) -> str:
    """Method and path with nameless holes."""
    return re.sub(r"\{[^}]*\}", "{}", operation)


def served() -> dict[str, Endpoint]:
    """Every endpoint by its method and each of its paths, those of older versions left out."""
    found: dict[str, Endpoint] = {}
    for endpoint in registry.load():
        for path in (endpoint.path, *endpoint.aliases):
            found[key_of(f"{endpoint.method} {path}")] = endpoint
    return found


SERVED = served()


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_is_served_or_named_as_missing(operation: str) -> None:
    """What is not served stands in `not_yet.toml` with its reason, and nothing that is served stands there."""
    assert (key_of(operation) in SERVED) is not (operation in NOT_YET)


@pytest.mark.parametrize("operation", [name for name in OPERATIONS if key_of(name) in SERVED])
def test_who_may_call_is_what_the_specification_says(operation: str) -> None:
    """Strangers, users, application services; guests where their module lets them."""
    facts = OPERATIONS[operation]
    endpoint = SERVED[key_of(operation)]
    if operation in ON_PURPOSE:
        assert endpoint.auth is ON_PURPOSE[operation]
        return

    assert endpoint.auth in FITTING[facts["auth"]]
    if facts.get("guests"):
        assert endpoint.auth is Auth.GUEST_OK


@pytest.mark.parametrize(
    "operation",
    [name for name, facts in OPERATIONS.items() if facts.get("limited") and key_of(name) in SERVED],
)
def test_what_the_specification_limits_has_a_limit(operation: str) -> None:
    """An operation with a 429 in the specification belongs to a class of rate limits."""
    assert SERVED[key_of(operation)].limit is not Limit.NONE


def test_the_list_of_missing_operations_is_tidy() -> None:
    """It names operations of the specification only, each with a reason."""
    assert [name for name in NOT_YET if name not in OPERATIONS] == []
    assert [name for name, reason in NOT_YET.items() if len(reason) < 10] == []


def test_every_path_below_the_client_api_is_of_the_specification() -> None:
    """Nothing is served there under a path that the specification does not have, but for the named ones."""
    known = {key_of(name) for name in OPERATIONS}
    strange = [
        f"{endpoint.method} {path}"
        for endpoint in registry.load()
        for path in (endpoint.path, *endpoint.aliases)
        if path.startswith(("/_matrix/client/v1/", "/_matrix/client/v3/", "/_matrix/media/"))
        and key_of(f"{endpoint.method} {path}") not in known
        and endpoint.auth is not Auth.ADMIN
    ]
    # The state of a room with an empty key: the specification tells of it in prose. Sending and redacting without a
    # transaction id: clients and bots that are older than the specification do.
    assert strange == [
        "POST /_matrix/client/v3/rooms/{room_id}/redact/{event_id}",
        "POST /_matrix/client/v3/rooms/{room_id}/send/{event_type}",
        "PUT /_matrix/client/v3/rooms/{room_id}/state/{event_type}",
        "GET /_matrix/client/v3/rooms/{room_id}/state/{event_type}",
    ]


def test_older_versions_of_a_path_answer() -> None:
    """Clients of the wild use r0 and v1 where the specification has v3."""
    assert {"/_matrix/client/v3/", "/_matrix/media/v3/"} == set(OLDER_VERSIONS)


def test_every_errcode_of_the_specification_is_known() -> None:
    """And each has a status of an error."""
    assert sorted(set(FACTS["errors"]["codes"]) - {code.value for code in ErrCode}) == []
    assert all(400 <= status < 600 for status in STATUS.values())
