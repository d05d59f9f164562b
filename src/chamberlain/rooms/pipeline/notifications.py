"""What an event means to the local members: evaluated once for all, and for each who has rules of their own."""

from collections.abc import Mapping, Sequence
from typing import Final

import orjson

from chamberlain.matrix.auth_rules.power_levels import CREATE_KEY
from chamberlain.matrix.event_types import MEMBER
from chamberlain.matrix.events import Event
from chamberlain.matrix.ids import UserID, find_server_of
from chamberlain.matrix.push_rules import RoomContext, Shared, evaluate, evaluate_defaults
from chamberlain.matrix.types import text_of
from chamberlain.rooms.pipeline.chain import Chain
from chamberlain.rooms.pipeline.consequences import Notified
from chamberlain.rooms.pipeline.head import Heads, power_levels_in
from chamberlain.rooms.ports import Rulesets
from chamberlain.runtime.cache import Cache
from chamberlain.store import kinds
from chamberlain.store.database import Database
from chamberlain.store.memberships import local_members
from chamberlain.store.regimes import DECIDING, Personal
from chamberlain.store.tx import Change

_HIGHLIGHT: Final = orjson.dumps(
    ["notify", {"set_tweak": "sound", "value": "default"}, {"set_tweak": "highlight"}]
)
_INVITED: Final = orjson.dumps(["notify", {"set_tweak": "sound", "value": "default"}])
_JOINED: Final = ("join",)
_NOBODY: Final = Notified()


class Notifications:
    """Evaluates push rules as an event is accepted."""

    def __init__(self, db: Database, heads: Heads, rulesets: Rulesets, server_name: str) -> None:
        self._db = db
        self._heads = heads
        self._rulesets = rulesets
        self._server_name = server_name
        self._own: Cache[str, Mapping[str, Personal]] = Cache(4_000, "rules of rooms")
        db.subscribe(self._changed)

    async def of(self, event: Event, chain: Chain) -> Notified:
        """Give what the event means to the room's local members, as the chain before it leaves the room."""
        if chain.state(CREATE_KEY) is None:
            return _NOBODY
        room = self._context(chain, event)
        shared = evaluate_defaults(event, room)
        own = await self._own.fetch(event.room_id, self._read_own_rules)
        if not own and not shared.highlighted_users and shared.invited is None:
            return Notified(shared.notify_all, shared.highlight_all) if shared.notify_all else _NOBODY
        users: list[tuple[str, bool, bool, bytes]] = []
        for user_id, (ruleset, ignored) in own.items():
            if event.sender in ignored:
                continue
            outcome = evaluate(ruleset, event, self._seen_by(chain, room, user_id))
            if outcome.notify or outcome.highlight:
                actions = orjson.dumps(list(outcome.actions))
                users.append((user_id, outcome.notify, outcome.highlight, actions))
        users.extend(await self._mentioned(event, chain, shared, own))
        if shared.invited is not None and self._is_local(shared.invited):
            users.append((shared.invited, True, False, _INVITED))
        return Notified(shared.notify_all, shared.highlight_all, tuple(users))

    def _context(self, chain: Chain, event: Event) -> RoomContext:
        levels = power_levels_in(chain.state)
        return RoomContext(
            member_count=chain.summary.get("joined", 0),
            sender_power=levels.user_level(event.sender),
            notification_levels={"room": levels.notification_level("room")},
        )

    def _seen_by(self, chain: Chain, room: RoomContext, user_id: str) -> RoomContext:
        member = chain.state((MEMBER, user_id))
        name = text_of(member.event.content, "displayname") if member is not None else None
        return RoomContext(room.member_count, room.sender_power, room.notification_levels, name)

    async def _mentioned(
        self, event: Event, chain: Chain, shared: Shared, own: Mapping[str, Personal]
    ) -> list[tuple[str, bool, bool, bytes]]:
        named = [
            user_id
            for user_id in shared.highlighted_users
            if user_id not in own and user_id != event.sender and self._is_local(user_id)
        ]
        if not named:
            return []
        keys = [(MEMBER, user_id) for user_id in named]
        await self._heads.load(chain.head, keys)
        found = []
        for user_id, key in zip(named, keys, strict=True):
            member = chain.state(key)
            if member is not None and text_of(member.event.content, "membership") == "join":
                # Where everyone is notified, or highlighted, the row must not count a second time.
                found.append((user_id, not shared.notify_all, not shared.highlight_all, _HIGHLIGHT))
        return found

    def _is_local(self, user_id: str) -> bool:
        return find_server_of(user_id) == self._server_name

    async def _read_own_rules(self, room_id: str) -> Mapping[str, Personal]:
        members = await self._db.read(local_members, room_id, _JOINED)
        return await self._rulesets.with_own_rules([UserID(member) for member in members])

    def _changed(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if change.kind == kinds.MEMBERSHIP and change.ref is not None:
                self._own.pop(change.ref)
            elif change.kind == kinds.ACCOUNT_DATA and change.ref in DECIDING:
                self._own.clear()
