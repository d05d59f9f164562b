"""Requests between servers carry a signature (server-server API, Request Authentication)."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final, Protocol

import orjson

from chamberlain.matrix import canonical_json
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import BadJson, Forbidden, InvalidParam, MatrixError
from chamberlain.matrix.ids import is_valid_server_name
from chamberlain.matrix.signing import SigningKey, VerifyKey

SCHEME: Final = "x-matrix"
_PARAMETER: Final = re.compile(r'\s*([A-Za-z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))\s*(?:,|$)')


class Gate(Protocol):
    """Which servers are talked to."""

    def permits(self, server_name: str) -> bool:
        """Whether this server may be asked, and answered."""
        ...


class Keys(Protocol):
    """Where the keys of servers come from."""

    async def find_key(self, server_name: str, key_id: str) -> VerifyKey | None:
        """The key of the server under this id, as long as it is valid now; None where it has none."""
        ...


def authorize(
    key: SigningKey, origin: str, destination: str, method: str, target: str, content: bytes | None
) -> str:
    """The `Authorization` header of a request; `target`: path and query; `content`: the canonical JSON body."""
    signed = _signed_part(origin, destination, method, target, content)
    return (
        f'X-Matrix origin="{origin}",destination="{destination}",key="{key.key_id}",sig="{key.sign(signed)}"'
    )


def _signed_part(
    origin: str, destination: str | None, method: str, target: str, content: bytes | None
) -> bytes:
    parts: dict[str, object] = {"method": method, "origin": origin, "uri": target}
    if destination is not None:
        parts["destination"] = destination
    if content is not None:
        parts["content"] = orjson.Fragment(content)
    return canonical_json.encode_unchecked(parts)


class SignedRequests:
    """Finds out which server made a request."""

    def __init__(self, keys: Keys, gate: Gate, server_name: str, heard_of: Callable[[str], None]) -> None:
        """`heard_of` is called with the name of each server whose signature was good."""
        self._keys = keys
        self._gate = gate
        self._server_name = server_name
        self._heard_of = heard_of

    async def verify(self, method: str, target: str, authorization: str, body: bytes) -> str:
        """The name of the server that signed the request.

        Raises:
            MatrixError: UNAUTHORIZED (401) without a good signature for this server.
            InvalidParam: the name of the server is none.
            Forbidden: the settings close the door to that server.
            BadJson: the body is not JSON in UTF-8.
        """
        fields = parse_authorization(authorization)
        origin, key_id, signature = (fields.get(name, "") for name in ("origin", "key", "sig"))
        destination = fields.get("destination")
        if not origin or not key_id or not signature:
            raise _unauthorized("The request is not signed by a server")
        if not is_valid_server_name(origin):
            raise InvalidParam("The request is signed by what is no server name")
        if destination is not None and destination != self._server_name:
            raise _unauthorized("The request was signed for another server")
        if not self._gate.permits(origin):
            raise Forbidden("This server does not talk to yours")
        key = await self._keys.find_key(origin, key_id)
        if key is None or not any(
            key.verify(_signed_part(origin, destination, method, target, content), signature)
            for content in _spellings(body)
        ):
            raise _unauthorized("The signature of the request is not valid")
        self._heard_of(origin)
        return origin


def _spellings(body: bytes) -> Iterator[bytes | None]:
    """What the content of a request may have been when it was signed: as it came, since most send canonical JSON.

    Whether that is JSON is seen where it is read. Spelling it anew costs more than all else that is done with it.
    """
    if not body:
        yield None
        return
    try:
        body.decode()
    except UnicodeDecodeError:
        raise BadJson("The body is not UTF-8") from None
    yield body
    yield canonical_json.encode_lenient(canonical_json.decode_lenient(body))


def parse_authorization(header: str) -> Mapping[str, str]:
    """The parameters of an `X-Matrix` header, quoted or not; nothing for any other scheme."""
    scheme, _, rest = header.partition(" ")
    if scheme.lower() != SCHEME:
        return {}
    found: dict[str, str] = {}
    place = 0
    while place < len(rest):
        match = _PARAMETER.match(rest, place)
        if match is None:
            return {}
        quoted, plain = match[2], match[3]
        if plain is None:
            plain = re.sub(r"\\(.)", r"\1", quoted) if "\\" in quoted else quoted
        found[match[1].lower()] = plain
        place = match.end()
    return found


def _unauthorized(message: str) -> MatrixError:
    return MatrixError(ErrCode.UNAUTHORIZED, message)
