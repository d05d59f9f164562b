"""From method and raw path to an endpoint: a trie over the undecoded segments, since ids hold `%2F`."""

import re
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import unquote_to_bytes

from chamberlain.http.endpoint import Endpoint, holes_of
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import InvalidParam, MatrixError

OLDER_VERSIONS = {
    "/_matrix/client/v3/": ("/_matrix/client/r0/", "/_matrix/client/v1/", "/_matrix/client/v2/"),
    "/_matrix/media/v3/": ("/_matrix/media/r0/", "/_matrix/media/v1/"),
}
"""Prefixes under which an endpoint is served too, unless another one is declared there."""

_BAD_PERCENT = re.compile(rb"%(?![0-9A-Fa-f]{2})")


class Route:
    """One path of an endpoint, and the names of its holes."""

    __slots__ = ("endpoint", "names")

    def __init__(self, endpoint: Endpoint, path: str) -> None:
        self.endpoint = endpoint
        self.names = tuple(holes_of(path))


Routes = dict[str, Route]
"""From method to route, at one place of the trie."""


class _Node:
    __slots__ = ("hole", "literals", "routes", "tail")

    def __init__(self) -> None:
        self.literals: dict[bytes, _Node] = {}
        self.hole: _Node | None = None
        self.routes: Routes = {}
        self.tail: Routes = {}


class Router:
    """Finds the endpoint of a request. A trailing slash matches with and without an (empty) last hole."""

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        """Raises TypeError where two endpoints are declared for one route."""
        self._root = _Node()
        declared = list(endpoints)
        for endpoint in declared:
            for path in (endpoint.path, *endpoint.aliases):
                self._add(endpoint, path, replaces=True)
        for endpoint in declared:
            for path in (endpoint.path, *endpoint.aliases):
                for older in _older_paths(path):
                    self._add(endpoint, older, replaces=False)

    def _add(self, endpoint: Endpoint, path: str, *, replaces: bool) -> None:
        node = self._root
        segments = path.removesuffix("/").encode().split(b"/")[1:]
        if endpoint.path_tail:
            segments.pop()
        for segment in segments:
            if segment.startswith(b"{"):
                node.hole = node.hole or _Node()
                node = node.hole
            else:
                node = node.literals.setdefault(segment, _Node())
        routes = node.tail if endpoint.path_tail else node.routes
        if endpoint.method not in routes:
            routes[endpoint.method] = Route(endpoint, path)
        elif replaces:
            other = routes[endpoint.method].endpoint.name
            raise TypeError(f"{endpoint.method} {path} is declared by {endpoint.name} and by {other}")

    def find(self, method: str, raw_path: bytes) -> tuple[Endpoint, dict[str, str]]:
        """The endpoint for this request and the decoded values of the holes.

        Raises:
            MatrixError: M_UNRECOGNIZED, with status 404 for an unknown path and as `MethodNotAllowed` (405)
                for a method that the path does not have; M_INVALID_PARAM for bad percent or UTF-8 encoding.
        """
        segments = raw_path.split(b"/")
        last = len(segments) - 1
        if segments[last] and b"//" not in raw_path:
            node = self._root
            holes: list[bytes] = []
            for place in range(1, last + 1):
                segment = segments[place]
                child = node.literals.get(segment)
                if child is None:
                    child = node.hole
                    if child is None:
                        break
                    holes.append(segment)
                node = child
            else:
                route = node.routes.get(method)
                if route is not None:
                    return route.endpoint, _decode(route, holes)
        return self._find_slowly(method, segments[1:])

    def _find_slowly(self, method: str, segments: list[bytes]) -> tuple[Endpoint, dict[str, str]]:
        """As `find`, with every way through the trie tried, and with what a trailing slash may mean."""
        readings = [segments[:-1], segments] if segments and not segments[-1] else [segments]
        allowed: set[str] = set()
        for reading in readings:
            for routes, holes in _matches(self._root, reading, 0, ()):
                route = routes.get(method)
                if route is not None:
                    return route.endpoint, _decode(route, holes)
                allowed |= routes.keys()
        if allowed:
            raise MethodNotAllowed(allowed)
        raise unrecognized()


def unrecognized() -> MatrixError:
    """M_UNRECOGNIZED (404): there is nothing at this path."""
    return MatrixError(ErrCode.UNRECOGNIZED, "Unrecognized request", status=404)


class MethodNotAllowed(MatrixError):
    """M_UNRECOGNIZED (405): the path is known, but not with this method; `allowed` are those that it has."""

    def __init__(self, allowed: Iterable[str]) -> None:
        super().__init__(ErrCode.UNRECOGNIZED, "Unrecognized request: not with this method", status=405)
        self.allowed = ", ".join(sorted(allowed))


def _older_paths(path: str) -> Iterator[str]:
    for prefix, older in OLDER_VERSIONS.items():
        if path.startswith(prefix):
            yield from (other + path.removeprefix(prefix) for other in older)


def _matches(
    node: _Node, segments: list[bytes], place: int, holes: tuple[bytes, ...]
) -> Iterator[tuple[Routes, tuple[bytes, ...]]]:
    """Every place of the trie that the path leads to; literal segments before holes, tails last."""
    if place == len(segments):
        if node.routes:
            yield node.routes, holes
        return
    segment = segments[place]
    if segment in node.literals:
        yield from _matches(node.literals[segment], segments, place + 1, holes)
    if node.hole is not None and (segment or place == len(segments) - 1):
        yield from _matches(node.hole, segments, place + 1, (*holes, segment))
    if node.tail:
        yield node.tail, (*holes, b"/".join(segments[place:]))


def _decode(route: Route, holes: Sequence[bytes]) -> dict[str, str]:
    values = {}
    for name, value in zip(route.names, holes, strict=True):
        values[name] = _decode_utf8(_unquote(value) if b"%" in value else value)
    return values


def _unquote(value: bytes) -> bytes:
    if _BAD_PERCENT.search(value):
        raise InvalidParam("The path has a percent sign that encodes nothing")
    return unquote_to_bytes(value)


def _decode_utf8(value: bytes) -> str:
    if b"\0" in value:
        raise InvalidParam("The path has a null character")
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise InvalidParam("The path is not UTF-8") from None
