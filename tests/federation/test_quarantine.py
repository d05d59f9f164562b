"""Files that an administrator keeps from everybody."""

from tests.api.admin.asking import NATIVE, SYNAPSE, at, calls
from tests.federation.test_media import asked, get, upload
from tests.support.server import Client, Server, path
from tests.support.wire import Wire


async def may_have(user: Client, *files: str) -> list[bool]:
    """Whether the user gets the files."""
    return [(await get(user, where)).status == 200 for where in files]


async def test_a_file_of_another_server(wire: Wire, near: Server, alice: Client, bob: Client) -> None:
    """Fetched or not, it is not to be had here, and not asked for; elsewhere it is."""
    root = await near.admin()
    fetched, unknown = await upload(bob, b"fetched"), await upload(bob, b"unknown")
    assert await may_have(alice, fetched) == [True]
    before = len(asked(wire))
    for where in (fetched, unknown):
        origin, media_id = where.split("/")
        assert (await root.post(at(f"{SYNAPSE}/media/quarantine", origin, media_id))).ok() == {}
        info = (await root.get(at(f"{SYNAPSE}/media", origin, media_id))).ok()["media_info"]
        assert (info["quarantined_by"], info["media_origin"]) == (root.user_id, "far.test")
    assert await may_have(alice, fetched, unknown) == [False, False]
    assert await may_have(bob, fetched, unknown) == [True, True]
    assert len(asked(wire)) == before
    now = near.app.services.clock.now() + 1
    assert (await root.post(f"{SYNAPSE}/purge_media_cache?before_ts={now}")).ok() == {"deleted": 0}

    for where in (fetched, unknown):
        (await root.post(at(f"{SYNAPSE}/media/unquarantine", *where.split("/")))).ok()
    assert await may_have(alice, fetched, unknown) == [True, True]


async def test_a_file_of_ours(near: Server, alice: Client, bob: Client) -> None:
    """Nobody gets it any more, here or elsewhere, whoever uploads it; unless it is protected."""
    root = await near.admin()
    mine, kept = await upload(alice, b"mine"), await upload(alice, b"kept")
    names = [where.partition("/")[2] for where in (mine, kept)]
    (await root.post(at(f"{SYNAPSE}/media/protect", names[1]))).ok()
    plan = (
        await root.post(at(f"{NATIVE}/media", "near.test", names[0], "quarantine"), {"dry_run": True})
    ).ok()
    assert plan["note"] == "About 1 files."
    assert await may_have(alice, mine) == [True]

    found = [
        (await root.post(at(f"{NATIVE}/media", "near.test", name, "quarantine"))).ok()["files"]
        for name in names
    ]
    assert found == [1, 0]
    assert await may_have(alice, mine, kept) == [False, True]
    assert await may_have(bob, mine, kept) == [False, True]
    assert await may_have(alice, await upload(alice, b"mine")) == [False]

    (await root.post(at(f"{SYNAPSE}/media/unprotect", names[1]))).ok()
    (await root.post(at(f"{NATIVE}/media", "near.test", names[1], "quarantine"))).ok()
    assert await may_have(alice, kept) == [False]
    released = (await root.post(at(f"{NATIVE}/media", "near.test", names[0], "release"))).ok()
    assert released == {"files": 2}
    assert await may_have(alice, mine) == [True]
    assert [call["outcome"] for call in await calls(root, operation="media.release")] == ["ok"]


async def test_all_files_of_a_user(near: Server, alice: Client) -> None:
    """Uploads, and nothing of others."""
    root = await near.admin()
    carol = await near.register("carol")
    files = [await upload(alice, f"file {n}".encode()) for n in range(3)]
    other = await upload(carol, b"other")
    found = (
        await root.post(at(f"{SYNAPSE}/user", alice.user_id, "media/quarantine").replace("%2F", "/"))
    ).ok()
    assert found == {"num_quarantined": 3}
    assert await may_have(carol, *files, other) == [False, False, False, True]
    (await root.post(f"{SYNAPSE}/user/{path('@nobody:near.test')}/media/quarantine")).error(
        404, "M_NOT_FOUND"
    )


async def test_all_files_of_a_room(near: Server, alice: Client, bob: Client) -> None:
    """Those that its messages show, and their thumbnails, of both servers."""
    root = await near.admin()
    room_id = await alice.create_room()
    image, small, theirs, other = (
        await upload(alice, b"image"),
        await upload(alice, b"small"),
        await upload(bob, b"theirs"),
        await upload(alice, b"other"),
    )
    for content in (
        {
            "msgtype": "m.image",
            "body": "i",
            "url": f"mxc://{image}",
            "info": {"thumbnail_url": f"mxc://{small}"},
        },
        {"msgtype": "m.file", "body": "f", "url": f"mxc://{theirs}"},
        {"msgtype": "m.file", "body": "f", "url": "mxc://nonsense", "info": []},
        {"msgtype": "m.file", "body": "f", "url": 5},
    ):
        await alice.send(room_id, "m.room.message", content)
    target = f"{SYNAPSE}/room/{path(room_id)}/media/quarantine"
    assert (await root.post(target)).ok() == {"num_quarantined": 3}
    assert await may_have(alice, image, small, theirs, other) == [False, False, False, True]
    assert (await root.post(f"{SYNAPSE}/quarantine_media/{path(room_id)}")).ok() == {"num_quarantined": 0}
    (await root.post(f"{SYNAPSE}/room/!none:near.test/media/quarantine")).error(404, "M_NOT_FOUND")


async def test_who_may_and_what_is_refused(near: Server, alice: Client) -> None:
    """Administrators; names that no file has."""
    root = await near.admin()
    for target in (
        "media/quarantine/near.test/x",
        "media/unquarantine/near.test/x",
        "media/protect/x",
        "media/unprotect/x",
        "room/!x:near.test/media/quarantine",
        f"user/{path(alice.user_id)}/media/quarantine",
    ):
        (await alice.post(f"{SYNAPSE}/{target}")).error(403, "M_FORBIDDEN")
    (await alice.get(f"{SYNAPSE}/media/near.test/x")).error(403, "M_FORBIDDEN")
    (await root.get(f"{SYNAPSE}/media/near.test/x")).error(404, "M_NOT_FOUND")
    (await root.post(f"{SYNAPSE}/media/protect/x")).error(404, "M_NOT_FOUND")
    assert (await root.post(f"{SYNAPSE}/media/quarantine/near.test/x")).ok() == {}
    for wrong in ("not%20a%20server/x", "near.test/%2E%2E"):
        (await root.post(f"{SYNAPSE}/media/quarantine/{wrong}")).error(400, "M_INVALID_PARAM")
