"""Both seed documents, as administrators' tools use them: refusals, effects, repeats, crashes, traces."""

import asyncio
import hashlib
import sqlite3
from pathlib import Path
from typing import Any

from chamberlain.admin import operations
from chamberlain.config.server_notices import ServerNotices
from chamberlain.store import destinations
from tests.api.conformance.table import PASSWORD, check, found
from tests.api.media.test_files import upload
from tests.support.server import Client, Server, path, test_config, until

OLD = "/_matrix/client/r0/admin"
SPEC = "/_matrix/client/v3/admin"
SYN = "/_synapse/admin/v1"
DEN = "/_dendrite/admin"
NATIVE = "/_chamberlain/admin/v1"
ALICE = "@alice:example.org"
LONG = "long enough"


def _refused_for_accounts() -> list[Any]:
    rows: list[Any] = []
    for w in (
        f"{OLD}/whois",
        "/_matrix/client/v3/admin/whois",
        f"{SYN}/whois",
        "/_matrix/client/api/v1/admin/whois",
    ):
        rows += [
            ("GET", f"{w}/@nobody:example.org", None, 404, "M_NOT_FOUND"),
            ("GET", f"{w}/@x:other.org", None, 400, "M_INVALID_PARAM"),
            ("GET", f"{w}/alice", None, 400, "M_INVALID_PARAM"),
            ("GET", f"{w}/%40alice%3Aexample.org", None, 200, None),
            ("POST", f"{w}/{ALICE}", {}, 405, "M_UNRECOGNIZED"),
        ]
    for d in (f"{OLD}/deactivate", f"{SYN}/deactivate"):
        rows += [
            ("POST", f"{d}/@nobody:example.org", None, 404, "M_NOT_FOUND"),
            ("POST", f"{d}/@x:other.org", {}, 400, "M_INVALID_PARAM"),
            ("POST", f"{d}/alice", {}, 400, "M_INVALID_PARAM"),
            ("POST", f"{d}/{ALICE}", {"erase": "yes"}, 400, "M_BAD_JSON"),
            ("POST", f"{d}/{ALICE}", b"nonsense", 400, "M_NOT_JSON"),
            ("POST", f"{d}/{ALICE}", b"[]", 400, "M_BAD_JSON"),
            ("GET", f"{d}/{ALICE}", None, 405, "M_UNRECOGNIZED"),
        ]
    for d in (f"{OLD}/reset_password", f"{SYN}/reset_password"):
        rows += [
            ("POST", f"{d}/@nobody:example.org", {"new_password": LONG}, 404, "M_NOT_FOUND"),
            ("POST", f"{d}/@x:other.org", {"new_password": LONG}, 400, "M_INVALID_PARAM"),
            ("POST", f"{d}/{ALICE}", {}, 400, "M_MISSING_PARAM"),
            ("POST", f"{d}/{ALICE}", {"new_password": ""}, 400, "M_MISSING_PARAM"),
            ("POST", f"{d}/{ALICE}", {"new_password": 5}, 400, "M_BAD_JSON"),
            ("POST", f"{d}/{ALICE}", {"new_password": None}, 400, "M_BAD_JSON"),
            ("POST", f"{d}/{ALICE}", {"new_password": "x" * 513}, 400, "M_INVALID_PARAM"),
            ("POST", f"{d}/{ALICE}", {"new_password": LONG, "logout_devices": 1}, 400, "M_BAD_JSON"),
            ("POST", f"{d}/{ALICE}", None, 400, "M_NOT_JSON"),
        ]
    return rows


def _refused_by_dendrite() -> list[Any]:
    rows: list[Any] = []
    for u in ("alice", "{ALICE}"):
        rows += [
            ("POST", f"{DEN}/resetPassword/{u}", {}, 400, "M_MISSING_PARAM"),
            ("POST", f"{DEN}/resetPassword/{u}", {"password": "short"}, 400, "M_WEAK_PASSWORD"),
            ("POST", f"{DEN}/resetPassword/{u}", {"password": "x" * 513}, 400, "M_BAD_JSON"),
            ("POST", f"{DEN}/resetPassword/{u}", None, 400, "M_NOT_JSON"),
            ("POST", f"{DEN}/resetPassword/{u}", {"password": 5}, 400, "M_BAD_JSON"),
        ]
    rows += [
        ("POST", f"{DEN}/resetPassword/nobody", {"password": LONG}, 404, "M_NOT_FOUND"),
        ("POST", f"{DEN}/resetPassword/@x:other.org", {"password": LONG}, 400, "M_INVALID_PARAM"),
        ("POST", f"{DEN}/resetPassword/ALICE", {"password": LONG}, 404, "M_NOT_FOUND"),
    ]
    for m in ("GET", "POST"):
        rows += [
            (m, f"{DEN}/evacuateRoom/!none:example.org", None, 404, "M_NOT_FOUND"),
            (m, f"{DEN}/evacuateRoom/nonsense", None, 400, "M_INVALID_PARAM"),
            (m, f"{DEN}/evacuateRoom/%23alias:example.org", None, 400, "M_INVALID_PARAM"),
            (m, f"{DEN}/evacuateUser/@nobody:example.org", None, 404, "M_NOT_FOUND"),
            (m, f"{DEN}/evacuateUser/@x:other.org", None, 400, "M_INVALID_PARAM"),
            (m, f"{DEN}/evacuateUser/alice", None, 400, "M_INVALID_PARAM"),
        ]
    return rows


def _refused_notices() -> list[Any]:
    rows: list[Any] = []
    ok = {"msgtype": "m.text", "body": "x"}
    for m, t in (("POST", ""), ("PUT", "/txn1")):
        n = f"{SYN}/send_server_notice{t}"
        rows += [
            (m, n, {}, 400, "M_MISSING_PARAM"),
            (m, n, {"user_id": ALICE}, 400, "M_MISSING_PARAM"),
            (m, n, {"content": ok}, 400, "M_MISSING_PARAM"),
            (m, n, {"user_id": ALICE, "content": "x"}, 400, "M_BAD_JSON"),
            (m, n, {"user_id": 5, "content": ok}, 400, "M_BAD_JSON"),
            (m, n, {"user_id": "@nobody:example.org", "content": ok}, 404, "M_NOT_FOUND"),
            (m, n, {"user_id": "@x:other.org", "content": ok}, 400, "M_INVALID_PARAM"),
            (m, n, {"user_id": ALICE, "content": ok, "type": 5}, 400, "M_BAD_JSON"),
            (m, n, {"user_id": ALICE, "content": {"x": "y" * 70000}}, 413, "M_TOO_LARGE"),
            (m, n, {"user_id": ALICE, "content": {"x": 1.5}}, 400, "M_BAD_JSON"),
            (
                m,
                n,
                {"user_id": ALICE, "content": ok, "type": "m.room.create", "state_key": ""},
                403,
                "M_FORBIDDEN",
            ),
            (m, n, None, 400, "M_NOT_JSON"),
        ]
    rows += [
        ("DELETE", f"{SYN}/register", None, 405, "M_UNRECOGNIZED"),
        ("GET", f"{SYN}/send_server_notice", None, 405, "M_UNRECOGNIZED"),
    ]
    return rows


def _refused_moderation() -> list[Any]:
    rows: list[Any] = []
    for p in ("suspend", "lock"):
        for m, b in (("GET", None), ("PUT", {f"{p}ed" if p == "lock" else "suspended": True})):
            rows += [
                (m, f"/_matrix/client/v1/admin/{p}/@nobody:example.org", b, 404, "M_NOT_FOUND"),
                (m, f"/_matrix/client/v1/admin/{p}/@x:other.org", b, 400, "M_INVALID_PARAM"),
                (m, f"/_matrix/client/v1/admin/{p}/@admin:example.org", b, 403, "M_FORBIDDEN"),
            ]
        rows += [
            ("PUT", f"/_matrix/client/v1/admin/{p}/{ALICE}", {}, 400, "M_MISSING_PARAM"),
            (
                "PUT",
                f"/_matrix/client/v1/admin/{p}/@root:example.org",
                {"locked": True, "suspended": True},
                403,
                "M_FORBIDDEN",
            ),
        ]
    return rows


async def test_what_is_refused(server: Server, alice: Client) -> None:
    """The 404s and 400s of every call for an administrator; 403 and 401 for others before anything is looked at."""
    root = await server.admin()
    rows = [*_refused_for_accounts(), *_refused_by_dendrite(), *_refused_notices(), *_refused_moderation()]
    await check(root, rows)
    no_path = (405, "M_UNRECOGNIZED")
    for client, errcode in ((alice, (403, "M_FORBIDDEN")), (server.anonymous, (401, "M_MISSING_TOKEN"))):
        for method, target in dict.fromkeys((row[0], row[1]) for row in rows if "whois" not in row[1]):
            answer = found(await client.request(method, target, b"garbage"))
            assert answer in (errcode, no_path), (method, target, answer)
    assert (await alice.get("account/whoami")).status == 200
    assert (await server.login("alice")).user_id == alice.user_id


async def test_the_notices_room(server: Server, alice: Client) -> None:
    """Invited, it cannot be rejected; joined, it can be left; the next notice invites to the same room again."""
    root = await server.admin()
    notice = {"user_id": ALICE, "content": {"msgtype": "m.text", "body": "hello from server notices!"}}
    (await alice.post(f"{SYN}/send_server_notice")).error(403, "M_FORBIDDEN")
    first = (await root.put(f"{SYN}/send_server_notice/1", notice)).ok()["event_id"]
    (room_id,) = (invites := (await alice.sync())["rooms"]["invite"])
    state = invites[room_id]["invite_state"]["events"]
    own = next(event for event in state if event["type"] == "m.room.member" and event["state_key"] == ALICE)
    assert own["sender"] == "@notices:example.org"
    rejected = await alice.post(f"{path('rooms', room_id)}/leave")
    rejected.error(403, "M_CANNOT_LEAVE_SERVER_NOTICE_ROOM")
    await alice.join(room_id)
    joined = (await alice.sync())["rooms"]["join"][room_id]
    assert {"type": "m.tag", "content": {"tags": {"m.server_notice": {}}}} in joined["account_data"]["events"]
    assert first in [event["event_id"] for event in joined["timeline"]["events"]]
    forbidden = await alice.put(f"{path('rooms', room_id)}/send/m.room.message/1", notice["content"])
    forbidden.error(403, "M_FORBIDDEN")
    await alice.leave(room_id)
    assert (await root.put(f"{SYN}/send_server_notice/1", notice)).ok()["event_id"] == first
    assert "invite" not in (await alice.sync()).get("rooms", {})
    second = (await root.put(f"{SYN}/send_server_notice/2", notice)).ok()["event_id"]
    assert second != first and set((await alice.sync())["rooms"]["invite"]) == {room_id}
    await alice.join(room_id)
    for content in (
        {"msgtype": "m.image", "body": "a", "url": "mxc://a/b"},
        {"msgtype": "org.example", "body": ""},
    ):
        event_id = (
            await root.post(f"{SYN}/send_server_notice", {"user_id": ALICE, "content": content})
        ).ok()["event_id"]
        assert (await alice.get(f"{path('rooms', room_id)}/event/{event_id}")).ok()["content"] == content
    other = await server.admin("other")
    assert (await other.put(f"{SYN}/send_server_notice/1", notice)).ok()["event_id"] not in (first, second)
    assert len((await alice.get("joined_rooms")).ok()["joined_rooms"]) == 1


async def test_notices_that_join_and_that_are_off(tmp_path: Path) -> None:
    """With `auto_join` the user is in the room at once; switched off, sending is a 400."""
    server = await Server.start(test_config(tmp_path / "a", server_notices=ServerNotices(auto_join=True)))
    root, alice = await server.admin(), await server.register("alice")
    notice = {"user_id": ALICE, "content": {"msgtype": "m.text", "body": "x"}}
    (await root.post(f"{SYN}/send_server_notice", notice)).ok()
    assert len((await alice.get("joined_rooms")).ok()["joined_rooms"]) == 1
    await server.stop()
    server = await Server.start(test_config(tmp_path / "b", server_notices=ServerNotices(enabled=False)))
    root, alice = await server.admin(), await server.register("alice")
    (await root.post(f"{SYN}/send_server_notice", notice)).error(400, "M_UNKNOWN")
    await server.stop()


UNSTEADY = ("audit", "connections", "device_list_streams", "followers", "leases", "outbox", "sqlite_")
"""Tables that the call itself, or what goes on in the background, may change."""


def _rows_of(file: Path) -> dict[str, str]:
    """A hash of each table's rows, but for the audit log, the times of use and what background work holds."""
    found = {}
    with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as database:
        tables = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            if not table.startswith(UNSTEADY) and "_fts" not in table:
                where = " WHERE name <> 'audit'" if table == "sequences" else ""
                rows = sorted(map(repr, database.execute(f"SELECT * FROM {table}{where}")))
                found[table] = hashlib.sha256("\n".join(rows).encode()).hexdigest()
    database.close()
    return found


async def _is_failing(server: Server, destination: str) -> bool:
    found = await server.app.services.db.read(destinations.find, destination)
    return found is not None and found.retry_interval > 0


async def test_a_dry_run_changes_no_row(server: Server, alice: Client, bob: Client, tmp_path: Path) -> None:
    """Every operation that changes anything can be tried: it answers with a plan, and no row is another one."""
    root = await server.admin()
    room_id = await alice.create_room(preset="public_chat")
    await bob.join(room_id)
    job = (await root.post(f"{NATIVE}/users/{bob.user_id}/evacuate", {"wait": True})).ok()["job_id"]
    token = (await root.post(f"{NATIVE}/registration-tokens", {"length": 8})).ok()["token"]
    (await root.put(f"{NATIVE}/server-rules/spam.test", {"rule": "deny"})).ok()
    availability = server.app.services.federation.remotes.availability
    availability.failed("gone.test", "it is gone", is_known=True)
    await until(lambda: _is_failing(server, "gone.test"))
    server_name, media_id = (await upload(alice, b"a file")).split("/")
    known = {
        "server_name": server_name,
        "media_id": media_id,
        "pattern": "spam.test",
        "rule": "deny",
        "destination": "gone.test",
        "before_ts": 1_600_000_000_000,
        "token": token,
        "user_id": ALICE,
        "room_id": room_id,
        "job_id": job,
        "new_password": "a new password",
        "logout_devices": True,
        "username": "fresh",
        "admin": True,
        "locked": True,
        "suspended": True,
        "block": True,
        "content": {"msgtype": "m.text", "body": "x"},
    }
    routes = [(o.name, o.route, o.request) for o in operations.load().values() if o.mutates and o.route]
    before = _rows_of(tmp_path / "chamberlain.db")
    assert len(before) > 20
    for name, route, request in routes:
        target = route.path
        body: dict[str, Any] = {"dry_run": True, "reason": "to see"}
        for field in request.__struct_fields__:
            if f"{{{field}}}" in target:
                target = target.replace(f"{{{field}}}", path(known[field]))
            elif field in known and (name, field) != ("registration_tokens.create", "token"):
                body[field] = known[field]
        plan = (await root.request(route.method, NATIVE + target, body)).ok()
        assert set(plan) == {"users", "rooms", "rooms_without_admin", "cannot_be_undone", "note"}, name
        assert _rows_of(tmp_path / "chamberlain.db") == before, name
    assert (await alice.get("account/whoami")).status == 200 and len(routes) >= 10


async def test_each_call_leaves_one_trace(server: Server, alice: Client, bob: Client) -> None:
    """Every call of both documents, good or failing, is one entry with its outcome, and the chain holds."""
    root = await server.admin()
    room_id = await bob.create_room(preset="public_chat")
    await alice.join(room_id)
    notice = {"user_id": ALICE, "content": {"msgtype": "m.text", "body": "x"}}
    calls: list[tuple[str, str, Any, str, str]] = [
        ("GET", f"{OLD}/whois/{ALICE}", None, "users.whois", "ok"),
        ("GET", f"{SPEC}/whois/@nobody:example.org", None, "users.whois", "M_NOT_FOUND"),
        ("POST", f"{OLD}/reset_password/{ALICE}", {"new_password": LONG}, "users.reset_password", "ok"),
        (
            "POST",
            f"{SYN}/reset_password/@x:other.org",
            {"new_password": LONG},
            "users.reset_password",
            "M_INVALID_PARAM",
        ),
        ("POST", f"{DEN}/resetPassword/alice", {"password": LONG}, "users.reset_password", "ok"),
        ("POST", f"{DEN}/resetPassword/nobody", {"password": LONG}, "users.reset_password", "M_NOT_FOUND"),
        ("POST", f"{SYN}/send_server_notice", notice, "notices.send", "ok"),
        ("PUT", f"{SYN}/send_server_notice/1", notice, "notices.send", "ok"),
        ("PUT", f"{SYN}/send_server_notice/1", notice, "notices.send", "ok"),
        ("GET", f"{DEN}/evacuateUser/{ALICE}", None, "users.evacuate", "ok"),
        ("POST", f"{DEN}/evacuateRoom/{room_id}", None, "rooms.evacuate", "ok"),
        ("GET", f"{DEN}/evacuateRoom/!none:example.org", None, "rooms.evacuate", "M_NOT_FOUND"),
        ("POST", f"{OLD}/deactivate/{ALICE}", None, "users.deactivate", "ok"),
        ("POST", f"{SYN}/deactivate/{ALICE}", {"erase": True}, "users.deactivate", "ok"),
        (
            "POST",
            f"{SYN}/reset_password/{ALICE}",
            {"new_password": LONG},
            "users.reset_password",
            "M_NOT_FOUND",
        ),
    ]
    for method, target, body, _, _ in calls:
        await root.request(method, target, body)
    seen = [
        (call["operation"], call["outcome"])
        for call in reversed((await root.get(f"{NATIVE}/audit?limit=1000")).ok()["calls"])
        if call["operation"] != "users.register_with_secret"
    ]
    assert seen == [(operation, outcome) for _, _, _, operation, outcome in calls]
    assert (await root.get(f"{NATIVE}/audit/verify")).ok()["ok"] is True


async def test_evacuation_as_others_see_it(server: Server, alice: Client, bob: Client) -> None:
    """Joined, invited and knocking users leave with events of their own; bystanders and the banned stay as they are."""
    root = await server.admin()
    carol, dave, erin = [await server.register(name) for name in ("carol", "dave", "erin")]
    knock = {"type": "m.room.join_rules", "content": {"join_rule": "knock"}}
    room_id = await alice.create_room(initial_state=[knock], invite=[bob.user_id, carol.user_id])
    await bob.join(room_id)
    (await dave.post(path("knock", room_id))).ok()
    (await alice.post(f"{path('rooms', room_id)}/ban", {"user_id": erin.user_id})).ok()
    (await bob.put(f"{path('profile', bob.user_id)}/displayname", {"displayname": "Bobby"})).ok()
    for client in (alice, bob, carol, dave):
        await client.sync()
    answer = (await root.get(f"{DEN}/evacuateRoom/{room_id}")).ok()
    assert sorted(answer["affected"]) == sorted(c.user_id for c in (alice, bob, carol, dave))
    for client in (alice, bob, carol, dave):
        assert room_id in (await client.sync())["rooms"]["leave"], client.user_id
        (await client.post(f"{path('rooms', room_id)}/forget")).ok()
    state = (await root.get(f"{SYN}/rooms/{path(room_id)}")).ok()
    assert state["joined_members"] == 0
    assert (await root.post(f"{DEN}/evacuateRoom/{room_id}")).ok()["affected"] == []
    assert (await root.post(f"{DEN}/evacuateUser/{erin.user_id}")).ok()["affected"] == []


async def test_deactivation_goes_on_after_a_crash(tmp_path: Path) -> None:
    """Cut off in the middle, the account is closed all the same; after the start the rest of its rooms is left."""
    server = await Server.start(test_config(tmp_path))
    root, alice, bob = await server.admin(), await server.register("alice"), await server.register("bob")
    rooms = [await bob.create_room(preset="public_chat") for _ in range(8)]
    for room_id in rooms:
        await alice.join(room_id)
    call = asyncio.create_task(root.post(f"{SYN}/deactivate/{ALICE}", {"erase": True}))
    while (await bob.state(rooms[0], "m.room.member", ALICE)).json["membership"] == "join":
        await asyncio.sleep(0)
    await server.stop()
    assert (await call).status in (200, 503)
    server = await Server.start(test_config(tmp_path))
    bob.server = root.server = alice.server = server
    answer = (await root.post(f"{SYN}/deactivate/{ALICE}", {"erase": True})).ok()
    assert answer["id_server_unbind_result"] == "success"
    (await alice.get("account/whoami")).error(401, "M_UNKNOWN_TOKEN")
    for room_id in rooms:
        assert (await bob.state(room_id, "m.room.member", ALICE)).ok()["membership"] == "leave"
        history = (await bob.get(f"{path('rooms', room_id)}/messages?dir=b&limit=100")).ok()["chunk"]
        left = [e for e in history if e.get("state_key") == ALICE and e["content"]["membership"] == "leave"]
        assert len(left) == 1
    body = {"username": "alice", "password": PASSWORD, "auth": {"type": "m.login.dummy"}}
    (await server.anonymous.post("register", body)).error(400, "M_USER_IN_USE")
    await server.stop()
