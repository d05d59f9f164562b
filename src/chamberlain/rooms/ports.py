"""What rooms ask of others without knowing them."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Literal, Protocol, TypeAlias

from chamberlain.matrix.events import Event
from chamberlain.matrix.policy import PolicyServer
from chamberlain.matrix.push_rules import Ruleset
from chamberlain.matrix.server_keys import PublishedKey
from chamberlain.matrix.signing import SigningKey
from chamberlain.rooms.shown import AliasedRoom, DirectoryQuery, Page, RemoteSpace


class Rulesets(Protocol):
    """Where the push rules of local users are."""

    async def with_own_rules(self, user_ids: Sequence[str]) -> Mapping[str, tuple[Ruleset, frozenset[str]]]:
        """Give the rulesets of those of the users who changed anything or ignore somebody, and whom they ignore."""
        ...


class Profiles(Protocol):
    """Where the profiles of local users are."""

    async def in_rooms(self, user_id: str) -> tuple[str | None, str | None]:
        """Give the display name and the avatar URL that the user's member events carry."""
        ...


class KeyRing(Protocol):
    """Where the keys of servers are."""

    async def find_keys(
        self, wanted: Collection[tuple[str, str]], valid_at: int
    ) -> dict[tuple[str, str], PublishedKey]:
        """Give the keys by (server, key id), those that no one knows left out; asks for those not valid at a time."""
        ...


class OwnKeys(Protocol):
    """The keys of this server."""

    @property
    def signing_key(self) -> SigningKey:
        """The one that signs now. It can be another one the next time."""
        ...


class RemoteServers(Protocol):
    """The servers that have what is missing here of a room; each call raises RemoteError."""

    async def event(self, server: str, event_id: str) -> bytes:
        """Give one event."""
        ...

    async def missing_events(
        self,
        server: str,
        room_id: str,
        *,
        earliest: Sequence[str],
        latest: Sequence[str],
        min_depth: int,
        limit: int,
    ) -> list[bytes]:
        """Give the events between those that are known (`earliest`) and those that are not connected to them."""
        ...

    async def state_ids(self, server: str, room_id: str, event_id: str) -> tuple[list[str], list[str]]:
        """Give the ids of the state before an event, and of all that it goes back to by auth events."""
        ...

    async def state(
        self, server: str, room_id: str, event_id: str
    ) -> tuple[Sequence[bytes], Sequence[bytes]]:
        """Give the state before an event, and all that it goes back to by auth events."""
        ...

    async def auth_chain(self, server: str, room_id: str, event_id: str) -> list[bytes]:
        """Give all that an event goes back to by auth events."""
        ...

    async def backfill(self, server: str, room_id: str, event_ids: Sequence[str], limit: int) -> list[bytes]:
        """Give these events and those before them."""
        ...


class Elsewhere(Protocol):
    """What other servers tell of rooms that this one may not be in; each call raises RemoteError."""

    async def find_alias(self, alias: str) -> AliasedRoom:
        """Ask the alias's server which room it names."""
        ...

    async def list_rooms(self, server: str, query: DirectoryQuery) -> Page:
        """Ask a server for a part of its directory."""
        ...

    async def hierarchy(self, room_id: str, servers: Sequence[str], *, suggested_only: bool) -> RemoteSpace:
        """Ask servers, one after the other, for a room and the children that it has as a space."""
        ...

    async def nearest(
        self, room_id: str, servers: Sequence[str], ts: int, direction: Literal["f", "b"]
    ) -> tuple[str, int, str]:
        """Ask servers for the event nearest to a time (ms); give its id, its time and who told."""
        ...


class PolicyServers(Protocol):
    """The policy servers of rooms (server-server API, Policy Servers)."""

    async def sign(self, server: PolicyServer, event: Event) -> Event:
        """Give the event with the signature that the server gave for it, which is good.

        Raises:
            MatrixError: the server refuses the event, in its own words, or gives no usable answer (502).
        """
        ...


LeaveGuard: TypeAlias = Callable[[str, str, str], Awaitable[None]]
"""Asked with (user id, room id, current membership) before a user leaves; raises to refuse."""
