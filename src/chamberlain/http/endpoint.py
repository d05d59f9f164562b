"""Declaring an endpoint: one decorated function with a request Struct and what it answers.

    class SendMessage(Request):
        room_id: Path[RoomID]                    # a hole of the path
        ts: Query[int | None] = None             # a key of the query string
        content: Body[JsonObject]                # the whole JSON body; an unmarked field is one key of it

    @endpoint("PUT", "/_matrix/client/v3/rooms/{room_id}/...", auth=Auth.ACCESS_TOKEN, limit=Limit.SEND)
    async def send_message(ctx: Context, request: SendMessage) -> Sent:
        \"\"\"Send a message event to a room.\"\"\"

A field has another name on the wire by `msgspec.field(name="...")`. A field of type `Upload` receives a body
that is not JSON. The router, OpenAPI, the rate limits and the tests read the record that is left.
"""

import enum
import inspect
import re
from collections.abc import Callable, Coroutine
from functools import cache
from typing import Annotated, Any, TypeVar, dataclass_transform, get_args, get_origin, get_type_hints

import msgspec

from chamberlain.http.answers import Raw, Response, Status, Stream
from chamberlain.http.context import Context, Upload
from chamberlain.matrix.errcodes import ErrCode

__all__ = [
    "Auth",
    "Body",
    "Context",
    "Endpoint",
    "In",
    "Limit",
    "Path",
    "Query",
    "Raw",
    "Request",
    "Response",
    "Status",
    "Stream",
    "Upload",
    "endpoint",
    "endpoints_of",
]

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Coroutine[Any, Any, object]])

JSON_BODY_LIMIT = 1_048_576
"""Bytes of a JSON body where the endpoint does not say otherwise."""

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"})
_ADMIN_PREFIXES = ("/_synapse/admin/", "/_dendrite/admin/", "/_chamberlain/admin/")
_SPEC_ADMIN = re.compile(r"/_matrix/client/[^/]+/admin/")
_HOLE = re.compile(r"\{([a-z_][a-z0-9_]*)\}")
_ROOM_HOLES = frozenset({"room_id", "room_id_or_alias"})


class In(enum.Enum):
    """Where the value of a request field stands."""

    PATH = "path"
    QUERY = "query"
    BODY = "body"
    KEY = "key"
    UPLOAD = "upload"


Path = Annotated[T, In.PATH]
"""A hole of the path, percent-decoded."""
Query = Annotated[T, In.QUERY]
"""A key of the query string; `list[...]` takes every repetition."""
Body = Annotated[T, In.BODY]
"""The whole JSON body. As `msgspec.Raw` its depth and its numbers are not bounded: the handler sees to that."""


class Auth(enum.Enum):
    """Who may call an endpoint; named as the specification names its `security`."""

    NONE = "none"
    OPTIONAL = "optional"
    """A token is read when there is one, and then it must be good."""
    ACCESS_TOKEN = "accessToken"
    GUEST_OK = "accessToken, guests too"
    APPSERVICE = "appservice"
    ADMIN = "admin"
    """403 for all others before anything of the body is read."""
    SIGNED_REQUEST = "signedRequest"


class Limit(enum.Enum):
    """The classes of rate limits; their numbers are configuration."""

    NONE = "none"
    READ = "read"
    WRITE = "write"
    SEND = "send"
    LOGIN = "login"
    REGISTER = "register"
    JOIN = "join"
    HEAVY = "heavy"
    ADMIN = "admin"
    REMOTE = "remote"


_BY_AUTH = {Auth.SIGNED_REQUEST: Limit.REMOTE, Auth.ADMIN: Limit.ADMIN}


class _RequestMeta(msgspec.StructMeta):
    """Makes every request Struct keyword-only, which msgspec does not pass on to children."""

    def __new__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **options: Any) -> Any:
        return super().__new__(cls, name, bases, namespace, **({"kw_only": True} | options))


@dataclass_transform(kw_only_default=True, field_specifiers=(msgspec.field,))
class Request(msgspec.Struct, metaclass=_RequestMeta):
    """The parameters of an endpoint: of its path, its query string and its body."""


class Endpoint(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """The record of an endpoint that everything else reads."""

    name: str
    """`module.function`: the label in metrics and the operationId in OpenAPI."""
    module: str
    method: str
    path: str
    aliases: tuple[str, ...]
    path_tail: bool
    """The last hole takes the rest of the path, slashes included."""
    auth: Auth
    limit: Limit
    errors: tuple[ErrCode, ...]
    uia: bool
    max_body: int
    long_poll: bool
    """The handler is cancelled when the client hangs up."""
    allow_locked: bool
    """A locked account may call it too (logging out)."""
    request: type[Request] | None
    response: Any
    handler: Callable[..., Coroutine[Any, Any, object]]
    summary: str
    description: str


def endpoint(
    method: str,
    path: str,
    *,
    auth: Auth,
    limit: Limit | None = None,
    errors: tuple[ErrCode, ...] = (),
    uia: bool = False,
    aliases: tuple[str, ...] = (),
    path_tail: bool = False,
    max_body: int = JSON_BODY_LIMIT,
    long_poll: bool = False,
    allow_locked: bool = False,
) -> Callable[[F], F]:
    """Declare the decorated function as the endpoint at `path` and at `aliases`; decorators can be stacked.

    Without a limit class, what servers sign is REMOTE, what administrators call ADMIN, GET is READ, the rest WRITE.
    An alias may lack holes whose field has a default. Raises TypeError, at import, for a declaration that cannot
    be right.
    """
    if limit is None:
        limit = _BY_AUTH.get(auth) or (Limit.READ if method == "GET" else Limit.WRITE)

    def declare(function: F) -> F:
        hints = get_type_hints(function, include_extras=True)
        doc = inspect.getdoc(function) or ""
        record = Endpoint(
            name=f"{function.__module__.rpartition('.')[2]}.{function.__name__}",
            module=function.__module__,
            method=method,
            path=path,
            aliases=aliases,
            path_tail=path_tail,
            auth=auth,
            limit=limit,
            errors=errors,
            uia=uia,
            max_body=max_body,
            long_poll=long_poll,
            allow_locked=allow_locked,
            request=hints.get("request"),
            response=hints.get("return"),
            handler=function,
            summary=doc.partition("\n")[0],
            description=doc.partition("\n")[2].strip(),
        )
        _check(record)
        function.__dict__.setdefault("endpoints", []).append(record)
        return function

    return declare


def endpoints_of(function: object) -> list[Endpoint]:
    """The records that `endpoint` left on a function, none for anything else."""
    records: list[Endpoint] = getattr(function, "__dict__", {}).get("endpoints", [])
    return records if inspect.iscoroutinefunction(function) else []


def is_admin(record: Endpoint) -> bool:
    """Whether an endpoint belongs to the administration API, whichever dialect its path is of."""
    paths = (record.path, *record.aliases)
    return record.auth is Auth.ADMIN or any(
        path.startswith(_ADMIN_PREFIXES) or _SPEC_ADMIN.match(path) for path in paths
    )


@cache
def is_of_a_room(record: Endpoint) -> bool:
    """Whether an endpoint speaks of one room, and is not of the administration API."""
    return not is_admin(record) and not _ROOM_HOLES.isdisjoint(holes_of(record.path))


def holes_of(path: str) -> list[str]:
    """The names of the holes of a path, in order."""
    return _HOLE.findall(path)


def place_of(field: msgspec.structs.FieldInfo) -> tuple[In, Any]:
    """Where the value of a request field stands, and its type without the marker."""
    if get_origin(field.type) is Annotated:
        inner, *marks = get_args(field.type)
        places = [mark for mark in marks if isinstance(mark, In)]
        rest = tuple(mark for mark in marks if not isinstance(mark, In))
        if places:
            return places[0], Annotated[(inner, *rest)] if rest else inner
    if field.type is Upload:
        return In.UPLOAD, Upload
    return In.KEY, field.type


def _check(record: Endpoint) -> None:
    where = f"{record.module}: {record.method} {record.path}"
    if record.method not in METHODS:
        raise TypeError(f"{where}: no such method")
    if not record.summary:
        raise TypeError(f"{where}: the handler has no docstring")
    if any(not isinstance(code, ErrCode) for code in record.errors):
        raise TypeError(f"{where}: an error that is not an ErrCode")
    names = list(inspect.signature(record.handler).parameters)
    if names != (["ctx", "request"] if record.request else ["ctx"]):
        raise TypeError(f"{where}: the handler takes {names}, not (ctx, request) or (ctx)")
    fields = msgspec.structs.fields(record.request) if record.request else ()
    places = {field.name: place_of(field)[0] for field in fields}
    required = {field.name for field in fields if field.required and places[field.name] is In.PATH}
    _check_paths(where, record, {name for name, place in places.items() if place is In.PATH}, required)
    bodies = [place for place in places.values() if place in (In.BODY, In.UPLOAD)]
    if len(bodies) > 1 or (bodies and In.KEY in places.values()):
        raise TypeError(f"{where}: more than one reading of the body")
    if record.method in ("GET", "HEAD") and (bodies or In.KEY in places.values()):
        raise TypeError(f"{where}: a {record.method} has no body; mark its fields with Path or Query")


def _check_paths(where: str, record: Endpoint, fields: set[str], required: set[str]) -> None:
    if set(holes_of(record.path)) != fields:
        raise TypeError(f"{where}: the holes of the path are not the Path fields {sorted(fields)}")
    for path in (record.path, *record.aliases):
        holes = holes_of(path)
        if not path.startswith("/") or "?" in path or len(set(holes)) != len(holes):
            raise TypeError(f"{where}: {path} is not a path")
        if not required <= set(holes) <= fields:
            raise TypeError(f"{where}: the holes of {path} are not the Path fields {sorted(fields)}")
        if any(
            ("{" in segment or "}" in segment) and not _HOLE.fullmatch(segment) for segment in path.split("/")
        ):
            raise TypeError(f"{where}: a hole must be a whole segment of {path}")
        if record.path_tail and not path.endswith("}"):
            raise TypeError(f"{where}: path_tail needs a hole at the end of {path}")
