"""Which servers are talked to: by the settings, and by what administrators say while the server runs."""

from pathlib import Path
from typing import Any

import pytest

from chamberlain.config.federation import Federation
from chamberlain.matrix.remote_errors import Refused, Unreachable
from chamberlain.store import kinds
from chamberlain.store import server_rules as rows
from chamberlain.store.server_rules import ServerRule
from chamberlain.store.tx import Change
from tests.support.server import Client, Server
from tests.support.wire import Wire

RULES = "/_chamberlain/admin/v1/server-rules"


async def reaches(origin: Server, destination: str) -> bool:
    """Whether one server's signed request is sent and let in by the other."""
    client = origin.app.services.federation.remotes.client
    try:
        await client.get(destination, "/_matrix/federation/v1/event/$nothing", even_if_failing=True)
    except Refused as error:
        assert error.status == 403 or error.code in ("M_NOT_FOUND", "M_FORBIDDEN")
        return "does not talk to yours" not in error.message
    except Unreachable as error:
        assert "settings" in error.message
        return False
    raise AssertionError("there is no such event")


@pytest.fixture
async def root(near: Server) -> Client:
    return await near.admin()


@pytest.mark.parametrize(
    ("settings", "permitted"),
    [
        ({}, {"far.test", "far.test:8448", "x.test", "1.2.3.4:5"}),
        ({"deny": ("*.test",)}, {"1.2.3.4:5"}),
        ({"deny": ("FAR.test",)}, {"x.test", "1.2.3.4:5"}),
        ({"deny": ("far.test:8448", "1.2.3.?")}, {"far.test", "x.test"}),
        ({"allow": ("far.test",)}, {"far.test", "far.test:8448"}),
        ({"allow": ("far.test:8448", "x.test"), "deny": ("x*",)}, {"far.test:8448"}),
        ({"allow": ()}, set()),
        ({"enabled": False, "allow": ("far.test",)}, set()),
    ],
)
async def test_the_settings_have_patterns(
    wire: Wire, tmp_path: Path, settings: dict[str, Any], permitted: set[str]
) -> None:
    """In any case of letters; a name without a port stands for all ports; who is denied is not let in."""
    near = await wire.add("near.test", tmp_path, federation=Federation(**settings))
    gate = near.app.services.federation.remotes.gate

    names = {"far.test", "far.test:8448", "x.test", "1.2.3.4:5"}
    for _ in range(2):
        assert {name for name in names if gate.permits(name)} == permitted


async def test_a_denied_server_is_neither_asked_nor_answered(near: Server, far: Server, root: Client) -> None:
    """From the next request on, in both directions; and no longer when the rule is taken back."""
    assert await reaches(near, "far.test") and await reaches(far, "near.test")

    made = (await root.put(f"{RULES}/FAR.t%2A", {"rule": "deny"})).ok()
    assert (made["pattern"], made["rule"]) == ("far.t*", "deny")
    assert not await reaches(near, "far.test") and not await reaches(far, "near.test")
    assert (await root.get(f"{RULES}/check/far.test")).ok()["permitted"] is False

    (await root.delete(f"{RULES}/far.t%2A")).ok()
    assert await reaches(near, "far.test") and await reaches(far, "near.test")
    (await root.delete(f"{RULES}/far.t%2A")).error(404, "M_NOT_FOUND")


async def test_the_first_allowed_server_keeps_all_others_out(near: Server, far: Server, root: Client) -> None:
    """A dry run says so and changes nothing; who is denied stays out."""
    plan = (await root.put(f"{RULES}/friend.test", {"rule": "allow", "dry_run": True})).ok()
    assert "all other servers" in plan["note"] and await reaches(far, "near.test")

    (await root.put(f"{RULES}/friend.test", {"rule": "allow"})).ok()
    assert not await reaches(far, "near.test")
    (await root.put(f"{RULES}/far.test", {"rule": "allow"})).ok()
    assert await reaches(far, "near.test")
    (await root.put(f"{RULES}/far.*", {"rule": "deny"})).ok()
    assert not await reaches(far, "near.test")

    listed = (await root.get(RULES)).ok()
    assert [(rule["pattern"], rule["rule"]) for rule in listed["rules"]] == [
        ("far.*", "deny"),
        ("far.test", "allow"),
        ("friend.test", "allow"),
    ]
    assert listed["federation"] and listed["allowed_by_settings"] is None
    (await root.delete(f"{RULES}/far.%2A")).ok()
    (await root.delete(f"{RULES}/far.test")).ok()
    plan = (await root.delete(f"{RULES}/friend.test", {"dry_run": True})).ok()
    assert "let in" in plan["note"]


async def test_rules_survive_a_restart(wire: Wire, near: Server, root: Client, tmp_path: Path) -> None:
    """They are in the database."""
    (await root.put(f"{RULES}/far.test", {"rule": "deny"})).ok()
    await near.stop()

    near = await wire.add("near.test", tmp_path)

    assert not near.app.services.federation.remotes.gate.permits("far.test")


async def test_other_workers_hear_of_a_rule(near: Server) -> None:
    """By the change stream."""
    gate, db = near.app.services.federation.remotes.gate, near.app.services.db
    await db.write(rows.put, ServerRule("far.test", "deny", 1))
    gate._take([])
    gate._on_changes([Change(1, kinds.SERVER_RULES, "far.test")])
    await gate._tasks.settle()

    assert not gate.permits("far.test") and gate.permits("other.test")


@pytest.mark.parametrize("pattern", ["no%20name", "a%2Fb", "x" * 256, "%00"])
async def test_a_pattern_must_fit_some_server(root: Client, pattern: str) -> None:
    """What can be no name is refused."""
    (await root.put(f"{RULES}/{pattern}", {"rule": "deny"})).error(400, "M_INVALID_PARAM")
    (await root.put(f"{RULES}/{pattern}", {"rule": "deny", "dry_run": True})).error(400, "M_INVALID_PARAM")


async def test_only_administrators_set_rules(near: Server) -> None:
    """Others are refused."""
    user = await near.register("mallory")
    (await user.put(f"{RULES}/far.test", {"rule": "deny"})).error(403, "M_FORBIDDEN")
    (await user.get(RULES)).error(403, "M_FORBIDDEN")


async def test_without_federation_everything_is_closed(wire: Wire, far: Server, tmp_path: Path) -> None:
    """Nobody is asked or answered, and there are no keys to be had."""
    near = await wire.add("near.test", tmp_path, federation=Federation(enabled=False))

    with pytest.raises(Unreachable):
        await near.app.services.federation.remotes.client.get("far.test", "/_matrix/key/v2/server")
    for path in ("server", "server/ed25519%3Aa", "query/far.test", "query/far.test/ed25519%3Aa"):
        (await near.anonymous.get(f"/_matrix/key/v2/{path}")).error(403, "M_FORBIDDEN")
    (await near.anonymous.post("/_matrix/key/v2/query", {"server_keys": {}})).error(403, "M_FORBIDDEN")
    assert wire.passed == []
