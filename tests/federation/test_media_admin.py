"""What administrators do with the files of other servers."""

from tests.api.admin.asking import NATIVE, SYNAPSE, calls
from tests.federation.test_media import asked, get, kept, upload
from tests.support.server import Client, Server
from tests.support.wire import Wire


async def test_fetched_files_are_purged(wire: Wire, near: Server, alice: Client, bob: Client) -> None:
    """Those that nobody has read since, told by a dry run before; uploads stay, and what was purged is fetched anew."""
    root = await near.admin()
    own, first, second = (
        await upload(alice, b"own"),
        await upload(bob, b"first"),
        await upload(bob, b"second"),
    )
    for where in (first, second):
        await get(alice, where)
    now = near.app.services.clock.now() + 1

    plan = (await root.post(f"{NATIVE}/media/purge_remote", {"before_ts": now, "dry_run": True})).ok()
    assert plan["note"] == "2 files of 11 bytes." and plan["cannot_be_undone"]
    early = (await root.post(f"{SYNAPSE}/purge_media_cache?before_ts={now - 3_600_000}")).ok()
    assert (early, len(kept(near))) == ({"deleted": 0}, 3)
    assert (await root.post(f"{SYNAPSE}/purge_media_cache?before_ts={now}")).ok() == {"deleted": 2}
    assert len(kept(near)) == 1
    assert (await get(alice, own)).body == b"own"
    assert (await get(alice, first)).body == b"first"
    assert len(asked(wire)) == 3
    again = near.app.services.clock.now() + 1
    assert (await root.post(f"{NATIVE}/media/purge_remote", {"before_ts": again})).ok() == {"deleted": 1}
    assert [call["facade"] for call in await calls(root, operation="media.purge_remote")] == [
        "native",
        "synapse",
        "synapse",
        "native",
    ]


async def test_times_in_seconds_are_refused(near: Server, alice: Client) -> None:
    """As is a call without a time, and one of somebody who is no administrator."""
    root = await near.admin()
    (await root.post(f"{SYNAPSE}/purge_media_cache?before_ts=1700000000")).error(400, "M_INVALID_PARAM")
    (await root.post(f"{SYNAPSE}/purge_media_cache")).error(400, "M_MISSING_PARAM")
    (await alice.post(f"{SYNAPSE}/purge_media_cache?before_ts=1700000000000")).error(403, "M_FORBIDDEN")
