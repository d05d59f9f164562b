"""What a server that joins is told of the room, on both databases."""

from typing import Any

import orjson

from chamberlain.rooms.create import RoomOptions
from chamberlain.store import welcomes
from chamberlain.store.database import Database
from tests.contract.rooms.test_pipeline import ALICE, BOB, worker


def keys_of(pdus: list[bytes]) -> list[tuple[str, str]]:
    """Type and state key of each."""
    events: list[dict[str, Any]] = [orjson.loads(pdu) for pdu in pdus]
    return sorted((event["type"], event["state_key"]) for event in events)


async def test_the_state_before_a_join_and_what_it_goes_back_to(db: Database) -> None:
    """Later changes are not in it; without members nothing is said twice."""
    services = worker(db)
    options = RoomOptions(preset="public_chat", name="Here", room_version="11")
    room_id = await services.create.create_room(ALICE, options)
    join_id = await services.membership.join(BOB, room_id)
    content = {"name": "There"}
    await services.submit.send(ALICE, room_id, "m.room.name", content, state_key="")

    found = await db.snapshot(welcomes.told, join_id)

    assert found is not None
    authority = [
        ("m.room.create", ""),
        ("m.room.join_rules", ""),
        ("m.room.member", ALICE),
        ("m.room.power_levels", ""),
    ]
    others = [("m.room.guest_access", ""), ("m.room.history_visibility", ""), ("m.room.name", "")]
    assert keys_of(found.state) == sorted([*authority, *others])
    names = [event["content"] for event in map(orjson.loads, found.state) if event["type"] == "m.room.name"]
    assert names == [{"name": "Here"}]
    assert keys_of(found.auth_chain) == authority

    little = await db.snapshot(welcomes.told_without_members, join_id, [])
    assert little is not None
    assert keys_of(little.state) == sorted({*authority, *others} - {("m.room.member", ALICE)})
    assert keys_of(little.auth_chain) == [("m.room.member", ALICE)]
    hero = await db.snapshot(welcomes.told_without_members, join_id, [("m.room.member", ALICE)])
    assert hero is not None and (len(hero.state), hero.auth_chain) == (7, [])

    assert await db.snapshot(welcomes.told, "$nothing") is None
    await services.close()
