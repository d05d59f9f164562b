"""The OpenAPI document and the endpoints that stand outside the API families."""

from pathlib import Path as FilePath
from typing import Any, Literal

import msgspec
import pytest

from chamberlain.config.well_known import Contact, WellKnown
from chamberlain.http import health, openapi, registry, wellknown
from chamberlain.http.client import versions
from chamberlain.http.decode import RequestDecoder
from chamberlain.http.endpoint import (
    Auth,
    Body,
    Context,
    Path,
    Query,
    Request,
    Response,
    endpoint,
    endpoints_of,
)
from chamberlain.http.router import Router
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.ids import UserID
from chamberlain.matrix.types import JsonObject
from chamberlain.store.connect import open_database
from tests.support.asgi import call
from tests.support.clock import FakeClock
from tests.support.edge import Edge


class Reset(Request):
    user_id: Path[UserID]
    new_password: str
    logout_devices: bool = True
    dry_run: Query[bool] = False
    kind: Query[Literal["a", "b"] | None] = msgspec.field(name="type", default=None)


class Done(Response):
    """What was done."""

    devices: list[str]


class Whole(Request):
    user_id: Path[UserID]
    content: Body[JsonObject]


@endpoint(
    "POST",
    "/_synapse/admin/v1/reset_password/{user_id}",
    aliases=("/_matrix/client/r0/admin/reset_password/{user_id}",),
    auth=Auth.ADMIN,
    errors=(ErrCode.NOT_FOUND, ErrCode.WEAK_PASSWORD),
)
async def reset_password(ctx: Context, request: Reset) -> Done:
    """Set a new password.

    Logs every device out unless told otherwise.
    """
    return Done([])


@endpoint("PUT", "/_matrix/client/v3/x/{user_id}", auth=Auth.OPTIONAL)
async def put_whole(ctx: Context, request: Whole) -> None:
    """Take anything."""


def document(*handlers: Any) -> JsonObject:
    """The document of some endpoints."""
    return openapi.document([record for handler in handlers for record in endpoints_of(handler)])


def test_an_operation_has_parameters_body_answer_and_errors() -> None:
    """All from the declaration."""
    found = document(reset_password)
    operation = found["paths"]["/_synapse/admin/v1/reset_password/{user_id}"]["post"]
    schemas = found["components"]["schemas"]

    assert operation["summary"] == "Set a new password."
    assert operation["description"] == "Logs every device out unless told otherwise."
    assert operation["security"] == [{"accessToken": []}]
    assert {(field["name"], field["in"], field["required"]) for field in operation["parameters"]} == {
        ("user_id", "path", True),
        ("dry_run", "query", False),
        ("type", "query", False),
    }
    assert operation["requestBody"]["required"]
    body = schemas["ResetBody"]
    assert (body["required"], set(body["properties"])) == (
        ["new_password"],
        {"new_password", "logout_devices"},
    )
    answer = operation["responses"]["200"]["content"]["application/json"]["schema"]
    assert answer == {"$ref": "#/components/schemas/Done"}
    assert schemas["Done"]["properties"]["devices"]["type"] == "array"
    assert operation["responses"]["404"]["description"] == "M_NOT_FOUND"
    assert operation["responses"]["400"]["description"] == "M_WEAK_PASSWORD"
    assert {"401", "403", "429"} <= set(operation["responses"])


def test_each_alias_is_a_path_with_an_operation_id_of_its_own() -> None:
    """OpenAPI wants them unique."""
    paths = document(reset_password)["paths"]
    ids = [operation["operationId"] for path in paths.values() for operation in path.values()]

    assert len(paths) == len(set(ids)) == 2


def test_a_whole_body_and_an_optional_token_are_said() -> None:
    """The body is any object, the token may be left out."""
    operation = document(put_whole)["paths"]["/_matrix/client/v3/x/{user_id}"]["put"]

    assert operation["security"] == [{"accessToken": []}, {}]
    assert operation["requestBody"]["content"]["application/json"]["schema"]["type"] == "object"
    assert operation["responses"]["200"]["content"]["application/json"]["schema"] == {"type": "object"}


def test_administration_is_known_by_path_or_by_who_may_call_it() -> None:
    """Whichever dialect it speaks."""
    (reset,), (put,) = endpoints_of(reset_password), endpoints_of(put_whole)

    assert openapi.is_admin(reset)
    assert not openapi.is_admin(put)


async def test_the_document_is_served_without_a_token() -> None:
    """Of the administration API, or of everything."""
    edge = Edge(openapi.read_openapi)
    path = "/_chamberlain/admin/v1/openapi.json"

    administration = (await call(edge.app, "GET", path)).ok()
    everything = (await call(edge.app, "GET", f"{path}?part=all")).ok()

    assert administration["openapi"] == "3.1.0"
    assert path in administration["paths"]
    assert "/_matrix/client/versions" not in administration["paths"]
    assert "/_matrix/client/versions" in everything["paths"]
    (await call(edge.app, "GET", f"{path}?part=some")).error(400, "M_INVALID_PARAM")


def test_every_endpoint_of_the_server_can_be_served_and_described() -> None:
    """No two share a route, every request Struct can be decoded, and every schema can be written."""
    endpoints = registry.load()
    Router(endpoints)
    for record in endpoints:
        if record.request is not None:
            RequestDecoder(record.request)

    assert len(openapi.document(endpoints)["paths"]) >= len({record.path for record in endpoints})


async def test_versions_tell_the_specification_and_what_is_served() -> None:
    """v1.1 to v1.19, and an unstable feature only where an endpoint serves it."""
    answer = (await call(Edge(versions.get_versions).app, "GET", "/_matrix/client/versions")).ok()
    served = {path for record in registry.load() for path in (record.path, *record.aliases)}

    assert answer["versions"][0] == "v1.1"
    assert answer["versions"][-1] == "v1.19"
    for feature, path in versions.FEATURE_PATHS.items():
        assert answer["unstable_features"].get(feature, False) == (path in served)


async def test_the_well_known_documents_follow_the_settings() -> None:
    """Client, server and support."""
    contact = Contact(matrix_id="@root:example.org")
    edge = Edge(
        wellknown.get_wellknown,
        wellknown.get_server_delegation,
        wellknown.get_support,
        base_url="https://matrix.example.org",
        well_known=WellKnown(
            server="matrix.example.org:443", contacts=(contact,), support_page="https://help"
        ),
    )
    prefix = "/.well-known/matrix"

    client = (await call(edge.app, "GET", f"{prefix}/client")).ok()
    server = (await call(edge.app, "GET", f"{prefix}/server")).ok()
    support = (await call(edge.app, "GET", f"{prefix}/support")).ok()

    assert client == {"m.homeserver": {"base_url": "https://matrix.example.org"}}
    assert server == {"m.server": "matrix.example.org:443"}
    assert support == {
        "contacts": [{"role": "m.role.admin", "matrix_id": "@root:example.org"}],
        "support_page": "https://help",
    }


async def test_without_settings_only_the_client_document_is_there() -> None:
    """The others are 404."""
    edge = Edge(wellknown.get_wellknown, wellknown.get_server_delegation, wellknown.get_support)
    prefix = "/.well-known/matrix"

    assert (await call(edge.app, "GET", f"{prefix}/client")).ok()["m.homeserver"] == {
        "base_url": "https://example.org"
    }
    (await call(edge.app, "GET", f"{prefix}/server")).error(404, "M_NOT_FOUND")
    (await call(edge.app, "GET", f"{prefix}/support")).error(404, "M_NOT_FOUND")


@pytest.fixture
async def healthy(tmp_path: FilePath, clock: FakeClock) -> Any:
    """An edge with a database."""
    edge = Edge(health.get_health)
    edge.services.db = await open_database(f"sqlite:///{tmp_path}/x.db", clock.now, synchronous="off")
    yield edge
    await edge.services.db.close()


async def test_health_follows_the_database_and_the_shutdown(healthy: Edge) -> None:
    """200 while the server can serve, 503 from the moment that it stops."""
    assert (await call(healthy.app, "GET", "/health")).body == b"OK"
    assert (await call(healthy.app, "HEAD", "/health")).status == 200

    healthy.services.shutdown.set()
    assert (await call(healthy.app, "GET", "/health")).status == 503


async def test_health_says_when_the_database_does_not_answer(healthy: Edge) -> None:
    """503, and the cause only in the log."""

    class Broken:
        async def read(self, *_: object) -> None:
            raise OSError("disk on fire")

    database, healthy.services.db = healthy.services.db, Broken()
    answer = await call(healthy.app, "GET", "/health")
    healthy.services.db = database

    assert (answer.status, answer.body) == (503, b"the database does not answer")
