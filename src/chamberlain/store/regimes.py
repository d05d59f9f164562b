"""For whom push rules are evaluated alone: users with rules of their own, and those who ignore somebody."""

from collections.abc import Sequence
from typing import Final

import msgspec
import orjson

from chamberlain.matrix.ids import UserID
from chamberlain.matrix.push_rules import Ruleset, decode_ruleset, default_ruleset, has_own_rules
from chamberlain.store.account_data import IGNORED_USERS, PUSH_RULES, put
from chamberlain.store.tx import Read, Write

DECIDING: Final = (PUSH_RULES, IGNORED_USERS)
"""The account data that decide."""

Personal = tuple[Ruleset, frozenset[str]]
"""A user's rules, and whom they ignore."""


SWITCHES: Final = 8
"""So many are looked at; what is still unread from before them counts as read."""


class Regime(msgspec.Struct, frozen=True):
    """`own`: evaluated alone; `switches`: the positions after which it changed to or from that, the newest first."""

    own: bool
    switches: tuple[int, ...] = ()

    def shared(self, now: int) -> list[tuple[int, int]]:
        """The stretches, `start` < position <= `end`, in which push rules were evaluated for the user as for all."""
        ends = (now, *self.switches)
        return [
            (start, end)
            for number, (end, start) in enumerate(zip(ends, (*self.switches, 0), strict=True))
            if (number % 2 == 1) is self.own
        ]


async def personal_of(tx: Read, user_ids: Sequence[str]) -> dict[str, Personal]:
    """Give what holds for those of the users for whom push rules are evaluated alone."""
    rows = await tx.all(
        "SELECT user_id, type, content FROM account_data WHERE user_id = ANY(:user_ids) AND room_id = ''"
        " AND type = ANY(:types)",
        user_ids=list(user_ids),
        types=list(DECIDING),
    )
    contents: dict[str, dict[str, bytes]] = {}
    for user_id, type, content in rows:
        contents.setdefault(user_id, {})[type] = content
    found: dict[str, Personal] = {}
    for user_id, given in contents.items():
        rules, ignored = given.get(PUSH_RULES), ignored_in(user_id, given.get(IGNORED_USERS))
        ruleset = (
            default_ruleset(UserID(user_id)) if rules is None else decode_ruleset(UserID(user_id), rules)
        )
        if ignored or has_own_rules(ruleset):
            found[user_id] = ruleset, ignored
    return found


def ignored_in(user_id: str, content: bytes | None) -> frozenset[str]:
    """The users whom a user ignores by the content of `m.ignored_user_list`; never themselves."""
    found = {} if content is None else orjson.loads(content).get("ignored_users")
    return frozenset(found) - {user_id} if isinstance(found, dict) else frozenset()


async def regime_of(tx: Read, user_id: str) -> Regime:
    """Give how push rules are evaluated for a user."""
    own = user_id in await personal_of(tx, [user_id])
    rows = await tx.all(
        "SELECT own, since FROM push_regimes WHERE user_id = :user_id ORDER BY since DESC LIMIT :most",
        user_id=user_id,
        most=SWITCHES,
    )
    # Where the newest switch does not say so, it was already so before switches were kept.
    known = bool(rows) and bool(rows[0][0]) is own
    return Regime(own, tuple(since for _, since in rows) if known else ())


async def put_deciding(tx: Write, user_id: str, type: str, content: bytes) -> None:
    """Set a global piece of account data that decides, and keep from where on it does."""
    was_own = user_id in await personal_of(tx, [user_id])
    placement = await put(tx, user_id, "", type, content)
    is_own = user_id in await personal_of(tx, [user_id])
    if is_own is not was_own:
        placement.write(
            "INSERT INTO push_regimes (user_id, since, own) VALUES (:user_id, :position, :own)",
            user_id=user_id,
            own=is_own,
        )
