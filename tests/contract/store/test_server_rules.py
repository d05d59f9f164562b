"""Rules about other servers, on both databases."""

from chamberlain.store import kinds, server_rules
from chamberlain.store.database import Database
from chamberlain.store.server_rules import ServerRule
from chamberlain.store.tx import Change


async def test_a_pattern_has_one_rule(db: Database) -> None:
    """The last one; each change is told."""
    told: list[Change] = []
    db.subscribe(told.extend)
    await db.write(server_rules.put, ServerRule("b.test", "deny", 1))
    await db.write(server_rules.put, ServerRule("a.test", "deny", 2))
    await db.write(server_rules.put, ServerRule("b.test", "allow", 3))
    assert await db.read(server_rules.list_all) == [
        ServerRule("a.test", "deny", 2),
        ServerRule("b.test", "allow", 3),
    ]

    assert await db.write(server_rules.delete, "b.test")
    assert not await db.write(server_rules.delete, "b.test")
    assert await db.read(server_rules.list_all) == [ServerRule("a.test", "deny", 2)]
    assert [(c.kind, c.entity) for c in told] == [
        (kinds.SERVER_RULES, name) for name in ("b.test", "a.test", "b.test", "b.test")
    ]
