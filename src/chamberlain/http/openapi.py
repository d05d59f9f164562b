"""OpenAPI 3.1 of the administration API (and of everything else), written from the registry."""

from collections import Counter
from collections.abc import Iterable
from functools import cache
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import msgspec
from msgspec.structs import FieldInfo

from chamberlain import __version__
from chamberlain.http import registry
from chamberlain.http.answers import Raw, Status, Stream
from chamberlain.http.decode import keys_struct
from chamberlain.http.endpoint import (
    Auth,
    Context,
    Endpoint,
    In,
    Limit,
    Query,
    Request,
    endpoint,
    holes_of,
    is_admin,
    place_of,
)
from chamberlain.matrix.errcodes import STATUS, ErrCode
from chamberlain.matrix.types import JsonObject

_REF = "#/components/schemas/{name}"
_TOKEN_NEEDED = (ErrCode.MISSING_TOKEN, ErrCode.UNKNOWN_TOKEN)
_WITHOUT_SCHEMA = (Raw, Status, Stream)


class ReadOpenapi(Request):
    """Which part of the server to describe."""

    part: Query[Literal["admin", "all"]] = "admin"


@endpoint("GET", "/_chamberlain/admin/v1/openapi.json", auth=Auth.NONE)
async def read_openapi(ctx: Context, request: ReadOpenapi) -> Raw:
    """Describe the administration API in OpenAPI 3.1, or with `part=all` every API of this server."""
    return Raw(_encoded(request.part))


@cache
def _encoded(part: str) -> bytes:
    endpoints = registry.load()
    return msgspec.json.encode(document(filter(is_admin, endpoints) if part == "admin" else endpoints))


def document(endpoints: Iterable[Endpoint]) -> JsonObject:
    """The OpenAPI document of these endpoints; each alias of a path is listed as a path of its own."""
    records = list(endpoints)
    schemas = _Schemas()
    paths: dict[str, JsonObject] = {}
    uses: Counter[str] = Counter()
    for record in records:
        for path in (record.path, *record.aliases):
            operation = _operation(record, path, schemas)
            uses[record.name] += 1
            if uses[record.name] > 1:
                operation["operationId"] += f"_{uses[record.name]}"
            paths.setdefault(path, {})[record.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "Chamberlain", "version": __version__},
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "securitySchemes": {"accessToken": {"type": "http", "scheme": "bearer"}},
        },
    }


class _Schemas:
    """The schemas that the operations refer to."""

    def __init__(self) -> None:
        self.components: dict[str, Any] = {"Error": _ERROR}

    def of(self, kind: Any) -> JsonObject:
        (schema,), components = msgspec.json.schema_components([kind], ref_template=_REF)
        self.components |= components
        return schema


def _operation(record: Endpoint, path: str, schemas: _Schemas) -> JsonObject:
    fields = [
        (field, *place_of(field))
        for field in (msgspec.structs.fields(record.request) if record.request else ())
    ]
    holes = set(holes_of(path))
    operation: JsonObject = {
        "operationId": record.name,
        "summary": record.summary,
        "tags": [record.module.rpartition(".")[2]],
        "responses": _responses(record, schemas),
    }
    if record.description:
        operation["description"] = record.description
    parameters = [
        _parameter(field, place, kind, schemas)
        for field, place, kind in fields
        if place is In.QUERY or (place is In.PATH and field.name in holes)
    ]
    if parameters:
        operation["parameters"] = parameters
    body = _body(record, fields, schemas)
    if body:
        operation["requestBody"] = body
    if record.auth not in (Auth.NONE, Auth.SIGNED_REQUEST):
        operation["security"] = [{"accessToken": []}, *([{}] if record.auth is Auth.OPTIONAL else [])]
    return operation


def _parameter(field: FieldInfo, place: In, kind: Any, schemas: _Schemas) -> JsonObject:
    schema = schemas.of(kind)
    if not field.required and isinstance(field.default, (str, int, float)):
        schema = {**schema, "default": field.default}
    in_path = place is In.PATH
    return {
        "name": field.name if in_path else field.encode_name,
        "in": place.value,
        "required": in_path or field.required,
        "schema": schema,
    }


def _body(record: Endpoint, fields: list[tuple[FieldInfo, In, Any]], schemas: _Schemas) -> JsonObject:
    keys = [field for field, place, _ in fields if place is In.KEY]
    for field, place, kind in fields:
        if place is In.BODY:
            return {"required": field.required, "content": _json(schemas.of(kind))}
        if place is In.UPLOAD:
            return {"required": True, "content": {"application/octet-stream": {}}}
    if keys and record.request is not None:
        required = any(field.required for field in keys)
        return {
            "required": required,
            "content": _json(schemas.of(keys_struct(record.request.__name__, list(map(_plain, keys))))),
        }
    return {}


def _plain(field: FieldInfo) -> FieldInfo:
    """The field with a default that a schema can hold: one of undecoded JSON stands for an empty object."""
    if isinstance(field.default, msgspec.Raw):
        return msgspec.structs.replace(field, default=msgspec.NODEFAULT, default_factory=dict)
    return field


def _responses(record: Endpoint, schemas: _Schemas) -> JsonObject:
    responses: JsonObject = {"200": {"description": "Done."}}
    kinds = (
        get_args(record.response)
        if get_origin(record.response) not in (None, dict, list)
        else (record.response,)
    )
    if not any(kind in _WITHOUT_SCHEMA for kind in kinds):
        schema = {"type": "object"} if record.response in (None, NoneType) else schemas.of(record.response)
        responses["200"]["content"] = _json(schema)
    by_status: dict[int, list[str]] = {}
    for code in _errors_of(record):
        by_status.setdefault(STATUS[code], []).append(code.value)
    for status, codes in sorted(by_status.items()):
        content = _json({"$ref": _REF.format(name="Error")})
        responses[str(status)] = {"description": ", ".join(codes), "content": content}
    return responses


def _errors_of(record: Endpoint) -> list[ErrCode]:
    """What an endpoint may answer: what it declares, and what its authentication and its limit add."""
    codes = list(record.errors)
    if record.auth not in (Auth.NONE, Auth.OPTIONAL, Auth.SIGNED_REQUEST):
        codes += _TOKEN_NEEDED
    if record.auth in (Auth.ADMIN, Auth.APPSERVICE):
        codes.append(ErrCode.FORBIDDEN)
    if record.limit is not Limit.NONE:
        codes.append(ErrCode.LIMIT_EXCEEDED)
    return list(dict.fromkeys(codes))


def _json(schema: JsonObject) -> JsonObject:
    return {"application/json": {"schema": schema}}


_ERROR: JsonObject = {
    "type": "object",
    "required": ["errcode", "error"],
    "properties": {
        "errcode": {"type": "string"},
        "error": {"type": "string"},
        "retry_after_ms": {"type": "integer"},
    },
}
