"""Requests made up from the records of endpoints: samples that fit, values that do not, ids of every sort."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, get_args, get_origin
from urllib.parse import quote, urlencode

import msgspec
from msgspec import inspect

from chamberlain.http.endpoint import Endpoint, In, holes_of, place_of

ODD_VALUES: tuple[Any, ...] = (
    None,
    True,
    5,
    1.5,
    "\U0001f980",
    [],
    {},
    [5],
    ["a"],
    [{}],
    {"a": 5},
    {"a": {}},
)
"""Values of every JSON type; those that a field does not take are wrong for it."""


class Field:
    """One field of a request: where it stands, its name on the wire and its type."""

    __slots__ = ("is_required", "kind", "name", "place", "wire_name")

    def __init__(self, field: msgspec.structs.FieldInfo) -> None:
        self.place, self.kind = place_of(field)
        self.name = field.name
        self.wire_name = field.encode_name
        self.is_required = field.required

    def takes(self, value: Any) -> bool:
        """Whether the type of the field takes this JSON value."""
        try:
            msgspec.json.decode(msgspec.json.encode(value), type=self.kind)
        except (ValueError, TypeError):
            return False
        return True

    def wrong_values(self) -> list[Any]:
        """JSON values that the field does not take."""
        return [value for value in ODD_VALUES if not self.takes(value)]

    def wrong_texts(self) -> list[str]:
        """Texts of a query string that the field does not take."""
        inner = get_args(self.kind)[0] if get_origin(self.kind) is Annotated else self.kind
        lists = [part for part in (inner, *get_args(inner)) if get_origin(part) is list]
        kind = get_args(lists[0])[0] if lists else self.kind
        if bool in (kind, *get_args(kind)):
            return ["maybe", "2", ""]
        wrong = []
        for text in ("wrong \U0001f980", "1.5", "-", "99999999999999999999999"):
            try:
                msgspec.convert(text, kind, strict=False)
            except ValueError:
                wrong.append(text)
        return wrong


def fields_of(endpoint: Endpoint, *places: In) -> list[Field]:
    """The fields of an endpoint's request that stand in these places."""
    fields = msgspec.structs.fields(endpoint.request) if endpoint.request else ()
    return [field for field in map(Field, fields) if field.place in places]


def sample(kind: Any) -> Any:
    """The smallest JSON value that a type takes."""
    return _sample(inspect.type_info(kind))


def _sample(kind: inspect.Type) -> Any:
    match kind:
        case inspect.IntType():
            return kind.gt + 1 if kind.gt is not None else 1 if kind.ge is None else kind.ge
        case inspect.LiteralType():
            return kind.values[0]
        case inspect.EnumType():
            return next(iter(kind.cls)).value
        case inspect.CollectionType():
            return [_sample(kind.item_type)] * (kind.min_length or 0)
        case inspect.StructType():
            return {field.encode_name: _sample(field.type) for field in kind.fields if field.required}
        case inspect.UnionType():
            return _sample(next(part for part in kind.types if not isinstance(part, inspect.NoneType)))
        case inspect.Metadata():
            return _sample(kind.type)
        case inspect.StrType():
            return "x" * max(1, kind.min_length or 0)
    return _SIMPLE[type(kind)]


_SIMPLE: dict[type[inspect.Type], Any] = {
    inspect.NoneType: None,
    inspect.BoolType: True,
    inspect.FloatType: 1.0,
    inspect.DictType: {},
    inspect.AnyType: {},
    inspect.RawType: {},
}


class Parts:
    """A request in parts, which a test spoils and then sends."""

    def __init__(self, endpoint: Endpoint, names: Mapping[str, str]) -> None:
        """`names` has values for holes of the path and for keys of the body, by their names."""
        self.endpoint = endpoint
        self.holes = {hole: quote(value_for(hole, names), safe="") for hole in holes_of(endpoint.path)}
        self.query: dict[str, Any] = {
            field.wire_name: _as_text(sample(field.kind))
            for field in fields_of(endpoint, In.QUERY)
            if field.is_required
        }
        self.body: Any = None
        whole = fields_of(endpoint, In.BODY)
        keys = fields_of(endpoint, In.KEY)
        if whole:
            self.body = sample(whole[0].kind)
        elif keys:
            self.body = {
                field.wire_name: names.get(field.wire_name) or sample(field.kind)
                for field in keys
                if field.is_required
            }
        elif fields_of(endpoint, In.UPLOAD):
            self.body = b"some bytes"

    @property
    def target(self) -> str:
        """Path and query."""
        path = self.endpoint.path
        for hole, value in self.holes.items():
            path = path.replace(f"{{{hole}}}", value)
        return f"{path}?{urlencode(self.query)}" if self.query else path


def value_for(hole: str, names: Mapping[str, str]) -> str:
    """The value for a hole: of its own name, else of a name that it ends with, else `x`."""
    if hole in names:
        return names[hole]
    return next((value for name, value in names.items() if hole.endswith(name)), "x")


def _as_text(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


def reads_json(endpoint: Endpoint) -> bool:
    """Whether the endpoint reads a JSON body."""
    return bool(fields_of(endpoint, In.BODY, In.KEY))


def with_holes(endpoints: list[Endpoint]) -> Iterator[tuple[Endpoint, str]]:
    """Each endpoint with each hole of its path."""
    for endpoint in endpoints:
        for hole in holes_of(endpoint.path):
            yield endpoint, hole
