"""What happens while an answer of /sync is being made."""

from typing import Any

import pytest

from chamberlain.store import kinds
from chamberlain.store.tx import Change
from chamberlain.sync.inbox import Inbox
from chamberlain.sync.marks import Marks
from tests.api.sync.test_waiting import a_room
from tests.support.server import Client, Server


def bodies(answer: dict[str, Any], section: str, room: str) -> list[str]:
    """The texts of the messages in a room's timeline."""
    events = answer.get("rooms", {}).get(section, {}).get(room, {}).get("timeline", {}).get("events", ())
    return [event["content"]["body"] for event in events if event["type"] == "m.room.message"]


async def test_another_worker_acts_in_the_room(
    server: Server, alice: Client, bob: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What memory forgets for that was part of the answer already."""
    room = await a_room(alice, bob)
    await alice.say(room, "hello")
    db, of = server.app.services.db, Marks.of

    async def slowly(marks: Marks, *args: Any) -> Any:
        found = await of(marks, *args)
        db._told([Change(db.position + 1, kinds.EVENT, room, "$elsewhere")])
        return found

    monkeypatch.setattr(Marks, "of", slowly)
    assert bodies(await bob.sync(), "join", room) == ["hello"]


async def test_the_user_is_put_out_of_the_room(
    alice: Client, bob: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was said before is told all the same, and then that they are out."""
    room = await a_room(alice, bob)
    await alice.say(room, "hello")
    deliver = Inbox.deliver

    async def slowly(inbox: Inbox, *args: Any, **options: Any) -> Any:
        found = await deliver(inbox, *args, **options)
        monkeypatch.undo()
        (await alice.post(f"rooms/{room}/kick", {"user_id": bob.user_id})).ok()
        return found

    monkeypatch.setattr(Inbox, "deliver", slowly)
    assert bodies(await bob.sync(), "join", room) == ["hello"]
    assert room in (await bob.sync())["rooms"]["leave"]


async def test_a_join_by_way_of_another_worker(server: Server, alice: Client, bob: Client) -> None:
    """Who typed, and who was there, before this worker had read where the user is now, is told."""
    room = await a_room(alice, bob)
    waiting = server.app.services.sync.waiting
    interest = waiting.find(bob.user_id)
    assert interest is not None
    interest.leave(room)
    interest.is_loaded = False
    (await alice.put(f"rooms/{room}/typing/{alice.user_id}", {"typing": True, "timeout": 20_000})).ok()
    status = {"presence": "offline", "status_msg": "gone"}
    (await alice.put(f"presence/{alice.user_id}/status", status)).ok()

    answer = await bob.sync()
    ephemeral = answer["rooms"]["join"][room]["ephemeral"]["events"]
    assert [event["content"]["user_ids"] for event in ephemeral] == [[alice.user_id]]
    shown = {event["sender"]: event["content"] for event in answer["presence"]["events"]}
    assert shown[alice.user_id]["status_msg"] == "gone"
