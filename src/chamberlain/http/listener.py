"""What the listener that a request came by changes: which APIs it serves, which proxies it trusts."""

import re
from collections.abc import Mapping
from typing import Any, Final

from chamberlain.config.listeners import ALL_RESOURCES, Listener, Resource
from chamberlain.http.address import ClientAddress

_RESOURCES: Final[tuple[tuple[str, Resource], ...]] = (
    ("/_matrix/media/", "media"),
    ("/_matrix/client/v1/media/", "media"),
    ("/_matrix/key/", "key"),
    ("/_matrix/federation/", "federation"),
    ("/_matrix/", "client"),
    ("/_synapse/", "admin"),
    ("/_dendrite/", "admin"),
    ("/_chamberlain/", "admin"),
)
_CLIENT_ADMIN: Final = re.compile(r"/_matrix/client/(?:api/)?[^/]+/admin/(?!whois/)")
"""Administration below the clients' prefix. Whois is left to clients: everyone may ask it about themselves."""


def resource_of(path: str) -> Resource | None:
    """The API that an endpoint's path belongs to; None for what every listener serves, as `/health`."""
    if _CLIENT_ADMIN.match(path):
        return "admin"
    return next((resource for prefix, resource in _RESOURCES if path.startswith(prefix)), None)


class Entrance:
    """One listener, as the edge sees it."""

    __slots__ = ("_resources", "address", "is_local")

    def __init__(self, listener: Listener | None, *, is_local: bool = False) -> None:
        """Raises ValueError for a trusted proxy that is neither an address, a network nor `unix`."""
        self.address = ClientAddress(listener.trusted_proxies if listener else ())
        resources = frozenset(listener.resources if listener else ALL_RESOURCES)
        self._resources = None if resources.issuperset(ALL_RESOURCES) else resources
        self.is_local = is_local
        """The socket in the data folder: who may open it may administer, without a token."""

    def serves(self, path: str) -> bool:
        """Whether what is at this path is reached here."""
        if self._resources is None:
            return True
        resource = resource_of(path)
        return resource is None or resource in self._resources


class Entrances:
    """The entrance of each listener, found by what the server below put into the request's state."""

    __slots__ = ("_known", "_local", "_open")

    def __init__(self) -> None:
        self._known: dict[int, tuple[Listener, Entrance]] = {}
        self._open = Entrance(None)
        self._local = Entrance(None, is_local=True)

    def of(self, state: Mapping[str, Any] | None) -> Entrance:
        """`state` may hold `listener` (its settings) or `local_admin`; with neither, all is served."""
        if not state:
            return self._open
        if state.get("local_admin"):
            return self._local
        listener: Listener | None = state.get("listener")
        if listener is None:
            return self._open
        known = self._known.get(id(listener))
        if known is None:
            known = self._known[id(listener)] = (listener, Entrance(listener))
        return known[1]
