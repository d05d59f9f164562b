"""Rooms as those see them who are not in them: in lists, in summaries, in the trees of spaces."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from chamberlain.matrix.types import JsonObject

SPACE: Final = "m.space"
_ORDER: Final = re.compile(r"[\x20-\x7e]{1,50}")


class AliasedRoom(msgspec.Struct, frozen=True):
    """The room that an alias names, and servers that are likely to know it."""

    room_id: str
    servers: Sequence[str]


class ListedRoom(msgspec.Struct, omit_defaults=True, kw_only=True):
    """What a directory shows of a room."""

    room_id: str
    num_joined_members: int
    world_readable: bool
    guest_can_join: bool
    join_rule: str | None = None
    name: str | None = None
    topic: str | None = None
    avatar_url: str | None = None
    canonical_alias: str | None = None
    room_type: str | None = None


class Page(msgspec.Struct, frozen=True):
    """A part of a directory, and the tokens of the parts beside it."""

    rooms: Sequence[ListedRoom]
    total: int
    next_batch: str | None = None
    prev_batch: str | None = None


class DirectoryQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which part of a directory, and which rooms of it.

    `types` None: of all types; None among them: rooms without a type. `network`: only what a bridge to that network
    lists, unless it is to be `all_networks`.
    """

    limit: int | None = None
    since: str | None = None
    term: str | None = None
    types: frozenset[str | None] | None = None
    network: str | None = None
    all_networks: bool = False


class RoomSummary(msgspec.Struct, omit_defaults=True, kw_only=True):
    """What a room tells of itself."""

    room_id: str
    num_joined_members: int
    world_readable: bool
    guest_can_join: bool
    join_rule: str
    room_version: str | None = None
    name: str | None = None
    topic: str | None = None
    avatar_url: str | None = None
    canonical_alias: str | None = None
    room_type: str | None = None
    encryption: str | None = None
    allowed_room_ids: list[str] | None = None


class Child(msgspec.Struct, kw_only=True):
    """An m.space.child event, stripped."""

    type: str
    state_key: str
    content: JsonObject
    sender: str
    origin_server_ts: int

    @property
    def via(self) -> list[str]:
        """The servers that know the room; a space really has those children of which it names one."""
        via = self.content.get("via")
        return [server for server in via if isinstance(server, str)] if isinstance(via, list) else []

    @property
    def is_suggested(self) -> bool:
        """Whether the space suggests the room to its members."""
        return self.content.get("suggested") is True

    @property
    def rank(self) -> tuple[bool, str, int, str]:
        """What children are sorted by."""
        order = self.content.get("order")
        ordered = isinstance(order, str) and _ORDER.fullmatch(order) is not None
        return not ordered, str(order) if ordered else "", self.origin_server_ts, self.state_key


class HierarchyRoom(RoomSummary, omit_defaults=True, kw_only=True):
    """A room of a tree, and its own children where it is a space."""

    children_state: list[Child]


class RemoteSpace(msgspec.Struct, frozen=True):
    """What another server tells of a room, and of those of its children that are not secret to us."""

    room: HierarchyRoom
    children: Mapping[str, RoomSummary]
    inaccessible: frozenset[str]
    """The children of which it says that we can neither join nor look into them."""
