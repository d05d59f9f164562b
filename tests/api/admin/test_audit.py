"""The audit log: every change is in it, once, and cannot be changed unseen."""

import asyncio
from pathlib import Path
from typing import Any, LiteralString

import pytest

from chamberlain.admin.audit import load_key
from chamberlain.runtime.rng import Rng
from chamberlain.store.tx import Write
from tests.api.admin.asking import NATIVE, SYNAPSE, calls
from tests.support.server import Client, Server


async def verify(root: Client) -> Any:
    """What looking at every record finds."""
    return (await root.get(f"{NATIVE}/audit/verify")).ok()


async def change(server: Server, sql: LiteralString) -> None:
    """Change the database behind the server's back."""

    async def run(tx: Write) -> None:
        await tx.run(sql)

    await server.app.services.db.write(run)


async def test_each_change_is_one_entry(root: Client, alice: Client) -> None:
    """Who, from where, with what, on whom, why and what came of it; failed calls too."""
    path = f"{NATIVE}/users/{alice.user_id}/suspended"
    headers = {"User-Agent": "Console/2"}
    (await root.request("PUT", path, {"suspended": True, "reason": "spam"}, headers)).ok()
    (await root.put(f"{NATIVE}/users/@nobody:example.org/locked", {"locked": True})).error(404, "M_NOT_FOUND")
    failed, done = await calls(root, actor=root.user_id)

    assert done["fields"] == {
        "actor": root.user_id,
        "address": "127.0.0.1",
        "user_agent": "Console/2",
        "target": alice.user_id,
        "reason": "spam",
        "request": '{"user_id":"@alice:example.org","suspended":true}',
    }
    assert (done["operation"], done["facade"], done["outcome"]) == ("users.set_suspended", "native", "ok")
    assert (failed["outcome"], failed["fields"]["message"]) == ("M_NOT_FOUND", "There is no such user")
    assert done["finished_at"] >= done["at"]


async def test_reading_what_is_not_private_writes_nothing(root: Client, alice: Client) -> None:
    """Lists of users and rooms are no entries."""
    await root.get(f"{NATIVE}/users")
    await root.get(f"{SYNAPSE}/rooms")
    await root.get(f"{NATIVE}/audit/verify")

    assert await calls(root, actor=root.user_id) == []


async def test_filters_and_pages(root: Client, alice: Client, bob: Client) -> None:
    """Entries are found by operation, target and outcome, and page by page."""
    for user in (alice, bob, alice):
        (await root.put(f"{NATIVE}/users/{user.user_id}/locked", {"locked": True})).ok()

    assert len(await calls(root, target=alice.user_id)) == 2
    assert len(await calls(root, operation="users.set_locked", outcome="ok")) == 3
    assert await calls(root, outcome="M_FORBIDDEN") == []
    newest, second = await calls(root, operation="users.set_locked", limit=2)
    (oldest,) = await calls(root, operation="users.set_locked", before=second["number"])
    assert newest["number"] > second["number"] > oldest["number"]
    (await root.get(f"{NATIVE}/audit?limit=0")).error(400, "M_INVALID_PARAM")


@pytest.mark.parametrize(
    ("sql", "problem"),
    [
        ("UPDATE audit_records SET outcome = 'ok' WHERE number = 3", "changed"),
        ("UPDATE audit_records SET at = at + 1 WHERE number = 3", "changed"),
        (
            "UPDATE audit_records SET actor = '@mallory:example.org' WHERE number = 3",
            "actor",
        ),
        ("DELETE FROM audit_records WHERE number = 3", "missing"),
        ("DELETE FROM audit_records WHERE number >= 4", "missing"),
        ("UPDATE audit_records SET mac = hash WHERE number = 4", "sealed"),
    ],
)
async def test_a_changed_row_is_found(
    server: Server, root: Client, alice: Client, sql: LiteralString, problem: str
) -> None:
    """Whatever is changed, deleted or made up in the database shows."""
    (await root.put(f"{NATIVE}/users/{alice.user_id}/locked", {"locked": True})).ok()
    before = await verify(root)
    await change(server, sql)
    after = await verify(root)

    assert before == {"ok": True, "records": 4, "shredded": 0, "problems": []}
    assert not after["ok"]
    assert any(problem in found["problem"] for found in after["problems"])


async def test_a_user_can_be_shredded(root: Client, alice: Client) -> None:
    """What the log says of a user goes, the chain holds, and that it was done stays."""
    body = {"locked": True, "reason": "asked for it"}
    (await root.put(f"{NATIVE}/users/{alice.user_id}/locked", body)).ok()
    dry = (await root.post(f"{NATIVE}/audit/shred", {"user_id": alice.user_id, "dry_run": True})).ok()
    assert dry["cannot_be_undone"]
    assert len(await calls(root, target=alice.user_id)) == 1
    shredded = (await root.post(f"{NATIVE}/audit/shred", {"user_id": alice.user_id})).ok()
    logged = await calls(root)

    assert shredded == {"fields": 3}
    assert alice.user_id not in str(logged)
    assert "asked for it" not in str(logged)
    assert (logged[0]["operation"], logged[0]["outcome"]) == ("audit.shred", "ok")
    found = await verify(root)
    assert (found["ok"], found["shredded"]) == (True, 3)


async def test_calls_at_once_make_one_chain(root: Client, alice: Client, bob: Client) -> None:
    """Many calls at once are each written once, and the chain holds."""
    paths = [f"{NATIVE}/users/{user.user_id}/suspended" for user in (alice, bob) for _ in range(10)]
    await asyncio.gather(*(root.put(path, {"suspended": True}) for path in paths))

    assert len(await calls(root, operation="users.set_suspended")) == 20
    assert (await verify(root))["ok"]


def test_the_key_is_made_once_and_is_private(tmp_path: Path) -> None:
    """The file is made for its owner's eyes alone, and read again afterwards."""
    path = tmp_path / "audit.key"
    key = load_key(path, Rng())

    assert load_key(path, Rng()) == key
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]
    path.write_text("00ff\n")
    with pytest.raises(ValueError, match="no key"):
        load_key(path, Rng())
