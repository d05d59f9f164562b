"""The rooms that one shares with another user."""

import pytest

from chamberlain.rooms import mutual
from tests.support.server import Client, path

BASE = "/_matrix/client/v1/"


async def test_rooms_that_both_are_in(alice: Client, bob: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both see the same rooms, page by page; rooms that one left or was only invited to are not among them."""
    monkeypatch.setattr(mutual, "PAGE", 2)
    shared = []
    for _ in range(3):
        shared.append(await alice.create_room(preset="public_chat"))
        await bob.join(shared[-1])
    left = await alice.create_room(preset="public_chat")
    await bob.join(left)
    await bob.leave(left)
    await alice.create_room(invite=[bob.user_id])
    first = (await bob.get(BASE + path("mutual_rooms", user_id=alice.user_id))).ok()
    query = {"user_id": alice.user_id, "from": first["next_batch"]}
    second = (await bob.get(BASE + path("mutual_rooms", **query))).ok()

    assert first["count"] == second["count"] == 3
    assert first["joined"] + second["joined"] == sorted(shared)
    assert "next_batch" not in second
    other = (await alice.get(BASE + path("mutual_rooms", user_id=bob.user_id))).ok()
    assert other["joined"] == first["joined"]


async def test_bad_questions(alice: Client) -> None:
    """Oneself, what is no user id, no user at all and a wrong token give 400; an unknown user shares nothing."""
    for query in ({"user_id": alice.user_id}, {"user_id": "bob"}, {"user_id": "@b:example.org", "from": "x"}):
        (await alice.get(BASE + path("mutual_rooms", **query))).error(400, "M_INVALID_PARAM")
    (await alice.get(BASE + path("mutual_rooms"))).error(400, "M_MISSING_PARAM")
    nobody = (await alice.get(BASE + path("mutual_rooms", user_id="@nobody:example.org"))).ok()

    assert nobody == {"joined": [], "count": 0}
