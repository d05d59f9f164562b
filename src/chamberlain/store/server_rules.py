"""Which other homeservers are talked to: the rules that administrators made while the server ran."""

from typing import Literal

import msgspec

from chamberlain.store import kinds
from chamberlain.store.tx import Read, Write

Rule = Literal["allow", "deny"]


class ServerRule(msgspec.Struct, frozen=True):
    """A rule for the servers whose name fits a pattern."""

    pattern: str
    rule: Rule
    created_at: int
    """In ms since 1970."""


async def list_all(tx: Read) -> list[ServerRule]:
    """Give every rule, by pattern."""
    rows = await tx.all("SELECT pattern, rule, created_at FROM server_rules ORDER BY pattern")
    return [ServerRule(*row) for row in rows]


async def put(tx: Write, rule: ServerRule) -> None:
    """Keep a rule, in place of the one for the same pattern, and tell."""
    await tx.run(
        "INSERT INTO server_rules (pattern, rule, created_at) VALUES (:pattern, :rule, :created_at)"
        " ON CONFLICT (pattern) DO UPDATE SET rule = excluded.rule, created_at = excluded.created_at",
        pattern=rule.pattern,
        rule=rule.rule,
        created_at=rule.created_at,
    )
    tx.place(kinds.SERVER_RULES, rule.pattern)


async def delete(tx: Write, pattern: str) -> bool:
    """Delete a rule, and tell; False where there is none."""
    if not await tx.run("DELETE FROM server_rules WHERE pattern = :pattern", pattern=pattern):
        return False
    tx.place(kinds.SERVER_RULES, pattern)
    return True
