"""A user's own settings of a room, handed on to the room that replaced it (client-server API, Room Upgrades)."""

from typing import Any, Final

import orjson

from chamberlain.matrix.auth_rules.power_levels import CREATE_KEY
from chamberlain.matrix.errors import MatrixError
from chamberlain.matrix.ids import UserID
from chamberlain.matrix.push_rules import (
    Kind,
    Ruleset,
    decode_ruleset,
    encode_ruleset,
    put_rule,
    set_enabled,
)
from chamberlain.matrix.types import JsonObject, text_of
from chamberlain.rooms.pipeline.head import Heads
from chamberlain.store import account_data
from chamberlain.store.account_data import PUSH_RULES, TAG
from chamberlain.store.database import Database
from chamberlain.store.tx import Write

DIRECT: Final = "m.direct"


class Inheritance:
    """Hands on settings when a user joins a room that replaces another."""

    def __init__(self, db: Database, heads: Heads) -> None:
        self._db = db
        self._heads = heads

    async def after_join(self, user_id: str, room_id: str) -> None:
        """Give a room the tags, push rules and place in `m.direct` of the room that it names as its predecessor.

        What the user has set for the new room already stays as it is.
        """
        create = await self._heads.current(room_id, *CREATE_KEY)
        predecessor = None if create is None else create.content.get("predecessor")
        old_room = text_of(predecessor, "room_id") if isinstance(predecessor, dict) else None
        if old_room is not None and old_room != room_id:
            await self._db.write(_hand_on, user_id, old_room, room_id)


async def _hand_on(tx: Write, user_id: str, old_room: str, new_room: str) -> None:
    tags = await account_data.find_locked(tx, user_id, old_room, TAG)
    if tags is not None and await account_data.find(tx, user_id, new_room, TAG) is None:
        await account_data.put(tx, user_id, new_room, TAG, tags)
    direct = await account_data.find(tx, user_id, "", DIRECT)
    listed = None if direct is None else _with_successor(orjson.loads(direct), old_room, new_room)
    if listed is not None:
        await account_data.put(tx, user_id, "", DIRECT, orjson.dumps(listed))
    stored = await account_data.find(tx, user_id, "", PUSH_RULES)
    if stored is not None:
        rules = encode_ruleset(_with_rules(decode_ruleset(UserID(user_id), stored), old_room, new_room))
        if rules != stored:
            await account_data.put(tx, user_id, "", PUSH_RULES, rules)


def _with_successor(direct: Any, old_room: str, new_room: str) -> JsonObject | None:
    """The content of `m.direct` with the new room beside the old one; None where that changes nothing."""
    changed: JsonObject = dict(direct) if isinstance(direct, dict) else {}
    for user_id, rooms in list(changed.items()):
        if isinstance(rooms, list) and old_room in rooms and new_room not in rooms:
            changed[user_id] = [*rooms, new_room]
    return None if changed == direct or not isinstance(direct, dict) else changed


def _with_rules(ruleset: Ruleset, old_room: str, new_room: str) -> Ruleset:
    """The ruleset with those of the user's rules that are about the old room made for the new one too."""
    for kind in (Kind.OVERRIDE, Kind.ROOM):
        own = {rule.rule_id: rule for rule in ruleset.custom.get(kind, ())}
        rule = own.get(old_room)
        if rule is None or new_room in own:
            continue
        conditions = [_about(condition, old_room, new_room) for condition in rule.conditions or ()]
        body = {"actions": list(rule.actions), "conditions": conditions}
        try:
            ruleset = put_rule(ruleset, kind, new_room, body)
            if not rule.enabled:
                ruleset = set_enabled(ruleset, kind, new_room, False)
        except MatrixError:
            # As many rules as a user may have: the new room does without.
            continue
    return ruleset


def _about(condition: JsonObject, old_room: str, new_room: str) -> JsonObject:
    if condition.get("key") == "room_id" and condition.get("pattern") == old_room:
        return condition | {"pattern": new_room}
    return condition
