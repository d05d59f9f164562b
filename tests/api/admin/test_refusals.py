"""Calls that never came to their operation are in the audit log too."""

import pytest

from tests.support.server import Client, Server

DEACTIVATE = "/_synapse/admin/v1/deactivate/@alice:example.org"


async def calls(root: Client) -> list[tuple[str, str]]:
    """(actor, outcome) of each call but those that read the log, the newest first."""
    entries = (await root.get("/_chamberlain/admin/v1/audit?limit=50")).ok()["calls"]
    return [
        (entry["fields"].get("actor", ""), entry["outcome"])
        for entry in entries
        if not entry["operation"].startswith("audit.")
    ]


@pytest.mark.parametrize("body", [b"{", b"[]", {"erase": "yes"}])
async def test_a_body_that_is_refused(server: Server, alice: Client, body: object) -> None:
    """An administrator's bad body leaves one entry with its errcode."""
    root = await server.admin()
    before = len(await calls(root))
    answer = await root.request("POST", DEACTIVATE, body)

    assert answer.status == 400
    after = await calls(root)
    assert len(after) == before + 1
    assert after[0] == (root.user_id, answer.json["errcode"])


async def test_one_who_is_no_administrator(server: Server, alice: Client) -> None:
    """Their try is on record; nothing of it happened."""
    root = await server.admin()
    answer = await alice.post(DEACTIVATE)

    assert answer.status == 403
    assert (await calls(root))[0] == (alice.user_id, "M_FORBIDDEN")
    assert (await alice.get("account/whoami")).status == 200
