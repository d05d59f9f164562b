"""The registry against the facts of the server-server API that `tools/spec_facts.py` has written down."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from chamberlain.http import registry
from chamberlain.http.endpoint import Auth, Endpoint, Limit

HERE = Path(__file__).parent
OPERATIONS: dict[str, dict[str, Any]] = tomllib.loads((HERE / "server_server.toml").read_text())["operations"]
NOT_YET: dict[str, str] = tomllib.loads((HERE / "not_yet.toml").read_text())["server_operations"]

ON_PURPOSE = {
    # The file of the specification names the security of its counterpart for clients.
    "GET /_matrix/federation/v1/timestamp_to_event/{roomId}": Auth.SIGNED_REQUEST,
}
BEYOND = {
    # Of earlier versions of the specification, which servers of today still try.
    "PUT /_matrix/federation/v1/send_join/{}/{}",
    "PUT /_matrix/federation/v1/send_leave/{}/{}",
    "GET /_matrix/key/v2/query/{}/{}",
    "GET /_matrix/key/v2/server/{}",
    # The method that identity servers use.
    "POST /_matrix/federation/v1/3pid/onbind",
}


def key_of(operation: str) -> str:
    """Method and path with nameless holes."""
    return re.sub(r"\{[^}]*\}", "{}", operation)


SERVED: dict[str, Endpoint] = {
    key_of(f"{endpoint.method} {path}"): endpoint
    for endpoint in registry.load()
    for path in (endpoint.path, *endpoint.aliases)
}
KNOWN = {key_of(name) for name in OPERATIONS}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_is_served_or_named_as_missing(operation: str) -> None:
    """What is not served stands in `not_yet.toml` with its reason, and nothing that is served stands there."""
    assert (key_of(operation) in SERVED) is not (operation in NOT_YET)


@pytest.mark.parametrize("operation", [name for name in OPERATIONS if key_of(name) in SERVED])
def test_who_may_call_is_what_the_specification_says(operation: str) -> None:
    """Servers that sign their requests, or anybody."""
    wanted = Auth.SIGNED_REQUEST if OPERATIONS[operation]["auth"] == "server" else Auth.NONE

    assert SERVED[key_of(operation)].auth is ON_PURPOSE.get(operation, wanted)


def test_nothing_else_is_served_to_servers() -> None:
    """Every path of theirs is of the specification, or was; each stands in a module of `http/server`, with a limit."""
    ours = {
        name: endpoint
        for name, endpoint in SERVED.items()
        if re.match(r"\w+ /_matrix/(federation|key|policy)/", name)
    }

    assert {name for name in ours if name not in KNOWN} == BEYOND
    assert {endpoint.module.rpartition(".")[0] for endpoint in ours.values()} == {"chamberlain.http.server"}
    assert [name for name, endpoint in ours.items() if endpoint.limit is Limit.NONE] == []


def test_the_list_of_missing_operations_is_tidy() -> None:
    """It names operations of the specification only, each with a reason."""
    assert [name for name in NOT_YET if name not in OPERATIONS] == []
    assert [name for name, reason in NOT_YET.items() if len(reason) < 10] == []
