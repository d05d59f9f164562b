"""Push rules of users: kept as what differs from the defaults (client-server API, Push Rules API)."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from chamberlain.matrix.ids import UserID
from chamberlain.matrix.push_rules import (
    Ruleset,
    decode_ruleset,
    default_ruleset,
    delete_rule,
    encode_ruleset,
    put_rule,
    ruleset_to_json,
    set_actions,
    set_enabled,
)
from chamberlain.matrix.types import JsonObject
from chamberlain.runtime.cache import Cache
from chamberlain.store import account_data as rows
from chamberlain.store import kinds
from chamberlain.store.account_data import PUSH_RULES
from chamberlain.store.database import Database
from chamberlain.store.regimes import Personal, personal_of, put_deciding
from chamberlain.store.tx import Change, Write

CACHED: Final = 5_000
PAGE: Final = 200

Edit = Callable[[Ruleset], Ruleset]


class PushRules:
    """The push rules of local users, kept parsed until a change of their account data."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._cached: Cache[str, Ruleset] = Cache(CACHED, "push rules")
        db.subscribe(self._changed)

    def _changed(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if change.kind == kinds.ACCOUNT_DATA and change.ref == PUSH_RULES:
                self._cached.pop(change.entity)

    async def get(self, user_id: str) -> Ruleset:
        """All rules of a user."""
        return await self._cached.fetch(user_id, self._read)

    async def _read(self, user_id: str) -> Ruleset:
        return ruleset_of(user_id, await self._db.read(rows.find, user_id, "", PUSH_RULES))

    async def content_of(self, user_id: str) -> JsonObject:
        """The content of `m.push_rules`, as clients read it."""
        return ruleset_to_json(await self.get(user_id))

    async def with_own_rules(self, user_ids: Sequence[str]) -> Mapping[str, Personal]:
        """The rulesets of those of the users who changed anything or ignore somebody, and whom they ignore."""
        found: dict[str, Personal] = {}
        for start in range(0, len(user_ids), PAGE):
            found.update(await self._db.read(personal_of, user_ids[start : start + PAGE]))
        return found

    async def put(
        self,
        user_id: str,
        kind: str,
        rule_id: str,
        body: Mapping[str, Any],
        before: str | None,
        after: str | None,
    ) -> None:
        """The rule is there, at its place; raises InvalidParam, MissingParam, or M_UNKNOWN (400) for the place."""
        await self._edit(user_id, lambda ruleset: put_rule(ruleset, kind, rule_id, body, before, after))

    async def delete(self, user_id: str, kind: str, rule_id: str) -> None:
        """The rule is gone; raises InvalidParam, NotFound."""
        await self._edit(user_id, lambda ruleset: delete_rule(ruleset, kind, rule_id))

    async def set_enabled(self, user_id: str, kind: str, rule_id: str, enabled: bool) -> None:
        """The rule is enabled, or is not; raises InvalidParam, NotFound."""
        await self._edit(user_id, lambda ruleset: set_enabled(ruleset, kind, rule_id, enabled))

    async def set_actions(self, user_id: str, kind: str, rule_id: str, actions: object) -> None:
        """The rule has these actions; raises InvalidParam, NotFound."""
        await self._edit(user_id, lambda ruleset: set_actions(ruleset, kind, rule_id, actions))

    async def _edit(self, user_id: str, edit: Edit) -> None:
        await self._db.write(_edit, user_id, edit)


def ruleset_of(user_id: str, stored: bytes | None) -> Ruleset:
    """The rules of a user whose account data has this compact form; None: they never changed any."""
    return default_ruleset(UserID(user_id)) if stored is None else decode_ruleset(UserID(user_id), stored)


def content_of(user_id: str, stored: bytes | None) -> JsonObject:
    """The content of `m.push_rules`, as clients read it, from the compact form."""
    return ruleset_to_json(ruleset_of(user_id, stored))


async def _edit(tx: Write, user_id: str, edit: Edit) -> None:
    stored = await rows.find_locked(tx, user_id, "", PUSH_RULES)
    changed = encode_ruleset(edit(ruleset_of(user_id, stored)))
    if changed != stored:
        await put_deciding(tx, user_id, PUSH_RULES, changed)
