"""Reporting events, rooms and users."""

from chamberlain.store import reports
from tests.support.server import Client, Server, path


async def test_reporting_an_event(server: Server, alice: Client, bob: Client) -> None:
    """A member reports what another one sent; it is kept with its sender, each time anew."""
    room = await alice.create_room(preset="public_chat")
    await bob.join(room)
    event = await bob.say(room, "bad")
    target = path("rooms", room, "report", event)
    assert (await alice.post(target, {"reason": "rude", "score": -50})).ok() == {}
    assert (await alice.post(target, {})).ok() == {}
    kept = await server.app.services.db.read(reports.list_page, "event", skip=0, limit=10)

    assert [(report.reporter, report.user_id, report.reason, report.score) for report in kept] == [
        (alice.user_id, bob.user_id, None, None),
        (alice.user_id, bob.user_id, "rude", -50),
    ]
    assert (kept[0].room_id, kept[0].event_id) == (room, event)


async def test_events_that_cannot_be_reported(alice: Client, bob: Client) -> None:
    """Outsiders, those who left and those who may not see the event get 404; wrong bodies 400."""
    room = await alice.create_room(preset="public_chat")
    event = await alice.say(room, "hello")
    target = path("rooms", room, "report", event)
    (await bob.post(target, {"reason": ""})).error(404, "M_NOT_FOUND")
    await bob.join(room)
    await bob.leave(room)
    (await bob.post(target, {"reason": ""})).error(404, "M_NOT_FOUND")
    (await alice.post(path("rooms", room, "report", "$none"), {})).error(404, "M_NOT_FOUND")
    (await alice.post(path("rooms", "!none:example.org", "report", event), {})).error(404, "M_NOT_FOUND")
    (await alice.post(target, {"score": 1})).error(400, "M_BAD_JSON")
    (await alice.post(target, {"reason": 1})).error(400, "M_BAD_JSON")


async def test_reporting_rooms_and_users(server: Server, alice: Client, bob: Client) -> None:
    """Anyone may report them; an unknown room is 404, and of an unknown user nothing is told or kept."""
    room = await alice.create_room()
    (await bob.post(path("rooms", room, "report"), {"reason": "spam"})).ok()
    (await bob.post(path("rooms", "!none:example.org", "report"), {"reason": ""})).error(404, "M_NOT_FOUND")
    (await bob.post(path("rooms", room, "report"), {})).error(400, "M_MISSING_PARAM")
    for user in (alice.user_id, "@nobody:example.org", "@far:elsewhere.example"):
        (await bob.post(path("users", user, "report"), {"reason": "spam"})).ok()
    (await bob.post(path("users", "nobody", "report"), {"reason": ""})).error(400, "M_INVALID_PARAM")
    db = server.app.services.db
    rooms = await db.read(reports.list_page, "room", skip=0, limit=10)
    users = await db.read(reports.list_page, "user", skip=0, limit=10)

    assert [(report.reporter, report.room_id, report.reason) for report in rooms] == [
        (bob.user_id, room, "spam")
    ]
    assert [report.user_id for report in users] == ["@far:elsewhere.example", alice.user_id]
