"""From path, query string and body to the request Struct of an endpoint (client-server API, 2.1)."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, get_args, get_origin

import msgspec

from chamberlain.http.context import Upload
from chamberlain.http.endpoint import In, Request, place_of
from chamberlain.http.json_body import check_json, decode_json
from chamberlain.http.query import parse_query
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import BadJson, InvalidParam, MatrixError, MissingParam

_MAX_INTEGER = 2**63 - 1

Convert = Callable[[str], object]


class RequestDecoder:
    """Makes the request Struct of one endpoint."""

    __slots__ = (
        "_body",
        "_holes",
        "_is_raw",
        "_keys",
        "_optional",
        "_queries",
        "_request",
        "_upload",
        "_whole",
    )

    def __init__(self, request: type[Request]) -> None:
        fields = [(field, *place_of(field)) for field in msgspec.structs.fields(request)]
        self._request = request
        self._holes = {field.name: _converter(kind) for field, place, kind in fields if place is In.PATH}
        self._queries = [_QueryField(field, kind) for field, place, kind in fields if place is In.QUERY]
        self._upload = next((field.name for field, place, _ in fields if place is In.UPLOAD), None)
        whole = [(field.name, kind) for field, place, kind in fields if place is In.BODY]
        keys = [field for field, place, _ in fields if place is In.KEY]
        self._whole = whole[0][0] if whole else None
        self._keys = [field.name for field in keys]
        self._optional = not any(field.required for field, place, _ in fields if place in (In.BODY, In.KEY))
        self._body: msgspec.json.Decoder[Any] | None = None
        self._is_raw = whole[:1] == [(self._whole, msgspec.Raw)]
        if whole:
            self._body = msgspec.json.Decoder(whole[0][1])
        elif keys:
            self._body = msgspec.json.Decoder(keys_struct(request.__name__, keys))

    @property
    def reads_body(self) -> bool:
        """Whether the body is read as JSON."""
        return self._body is not None

    @property
    def takes_upload(self) -> bool:
        """Whether the handler reads the body itself."""
        return self._upload is not None

    def decode(
        self, holes: Mapping[str, str], query_string: bytes, body: bytes, upload: Upload | None = None
    ) -> Request:
        """The request Struct.

        Raises:
            MatrixError: M_INVALID_PARAM for a value of path or query string, M_MISSING_PARAM for a missing
                key, M_NOT_JSON and M_BAD_JSON for the body.
        """
        values: dict[str, Any] = {}
        converters = self._holes
        for name, text in holes.items():
            values[name] = _convert(name, converters[name], text)
        if self._queries:
            given = parse_query(query_string)
            for field in self._queries:
                field.read(given, values)
        if self._body is not None:
            self._read_body(body, values)
        elif self._upload is not None:
            values[self._upload] = upload
        try:
            return self._request(**values)
        except (ValueError, TypeError) as refusal:
            raise BadJson(str(refusal)) from None

    def _read_body(self, body: bytes, values: dict[str, Any]) -> None:
        assert self._body is not None
        if not body.strip():
            if self._optional:
                return
            raise MatrixError(ErrCode.NOT_JSON, "The body is empty; JSON is needed")
        if not self._is_raw:
            check_json(body)
        found = decode_json(self._body, body)
        if self._whole is not None:
            values[self._whole] = found
            return
        for name in self._keys:
            values[name] = getattr(found, name)


def keys_struct(name: str, keys: list[msgspec.structs.FieldInfo]) -> type[msgspec.Struct]:
    """A Struct of those request fields that are keys of the JSON body."""
    fields: list[tuple[str, Any, Any]] = []
    for key in keys:
        options: dict[str, Any] = {"name": key.encode_name}
        if key.default is not msgspec.NODEFAULT:
            options["default"] = key.default
        elif key.default_factory is not msgspec.NODEFAULT:
            options["default_factory"] = key.default_factory
        fields.append((key.name, key.type, msgspec.field(**options)))
    return msgspec.defstruct(f"{name}Body", fields, kw_only=True)


class _QueryField:
    """One key of the query string."""

    __slots__ = ("convert", "is_list", "name", "required", "wire_name")

    def __init__(self, field: msgspec.structs.FieldInfo, kind: Any) -> None:
        self.name = field.name
        self.wire_name = field.encode_name
        self.required = field.required
        inner = get_args(kind)[0] if get_origin(kind) is Annotated else kind
        lists = [part for part in (inner, *get_args(inner)) if get_origin(part) is list]
        self.is_list = bool(lists)
        self.convert = _converter(get_args(lists[0])[0] if lists else kind)

    def read(self, given: Mapping[str, list[str]], values: dict[str, Any]) -> None:
        found = given.get(self.wire_name)
        if found is None:
            if self.required:
                raise MissingParam(f"Missing query parameter: {self.wire_name}")
        elif self.is_list:
            values[self.name] = [_convert(self.wire_name, self.convert, text) for text in found]
        else:
            values[self.name] = _convert(self.wire_name, self.convert, found[-1])


def _converter(kind: Any) -> Convert | None:
    """How a text becomes a value of this type; None where it stays as it is."""
    if _is_text(kind):
        return None
    if bool in (kind, *get_args(kind)):
        return _to_bool
    return lambda text: msgspec.convert(text, kind, strict=False)


def _is_text(kind: Any) -> bool:
    plain = [getattr(part, "__supertype__", part) for part in (get_args(kind) or (kind,))]
    return get_origin(kind) is not Annotated and all(part in (str, type(None)) for part in plain)


def _to_bool(text: str) -> bool:
    if text in ("true", "false"):
        return text == "true"
    raise ValueError("Expected `true` or `false`")


def _convert(name: str, convert: Convert | None, text: str) -> object:
    if convert is None:
        return text
    try:
        value = convert(text)
    except ValueError as refusal:
        raise InvalidParam(f"{name}: {refusal}") from None
    if isinstance(value, (int, float)) and not abs(value) <= _MAX_INTEGER:
        raise InvalidParam(f"{name}: number out of range")
    return value
