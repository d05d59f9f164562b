"""The keys that a server signs with: in files, published, rotated."""

from pathlib import Path
from typing import Any

import pytest

from chamberlain.config.cluster import Cluster
from chamberlain.federation import key_file
from chamberlain.federation.key_file import KeyFileError
from chamberlain.federation.key_ring import ASK_AGAIN_MS
from chamberlain.federation.own_keys import VALID_MS
from chamberlain.matrix.event_signatures import SignedForm
from chamberlain.matrix.server_keys import parse_server_keys
from chamberlain.store.events import find_event
from tests.api.admin.asking import NATIVE
from tests.federation.test_joining import join
from tests.support.clock import FakeClock
from tests.support.postgres import Postgres
from tests.support.rng import SeededRng
from tests.support.server import Server, path, test_config, until
from tests.support.wire import Wire


async def published(server: Server, at: str = "") -> dict[str, Any]:
    """What the server says of its keys."""
    answer: dict[str, Any] = (await server.anonymous.get(f"/_matrix/key/v2/server{at}")).ok()
    return answer


async def test_keys_are_signed_again_before_they_lapse(wire: Wire, clock: FakeClock, tmp_path: Path) -> None:
    """An answer is good for half a day at least, and the same meanwhile."""
    near = await wire.add("near.test", tmp_path, clock=clock)
    first = await published(near)
    assert first["valid_until_ts"] == clock.now() + VALID_MS
    clock.skip(VALID_MS / 2000)
    assert await published(near) == await published(near, "/ed25519%3Aany") == first

    clock.skip(1)
    again = await published(near)
    assert again["valid_until_ts"] == clock.now() + VALID_MS
    assert len(parse_server_keys(again, "near.test", clock.now())) == 1


async def test_a_rotated_key_is_published_as_old(wire: Wire, clock: FakeClock, tmp_path: Path) -> None:
    """What it signed before is verified by others who never saw it in use."""
    near = await wire.add("near.test", tmp_path, clock=clock)
    old = near.app.services.federation.remotes.signing_key
    path = near.app.services.config.signing_key_path
    await near.stop()
    rotated_at = clock.now()
    new = key_file.rotate(path, SeededRng(), rotated_at)
    near = await wire.add("near.test", tmp_path, clock=clock)
    far = await wire.add("far.test", tmp_path, clock=clock)

    assert near.app.services.federation.remotes.signing_key.key_id == new.key_id != old.key_id
    for server in (near, far):
        ring = server.app.services.federation.remotes.key_ring
        found = await ring.find_keys([("near.test", old.key_id), ("near.test", new.key_id)], clock.now())
        before = found["near.test", old.key_id]
        assert before.is_old and before.valid_until == rotated_at
        assert not found["near.test", new.key_id].is_old
    assert path.stat().st_mode & 0o077 == key_file.old_path(path).stat().st_mode & 0o077 == 0


def test_key_files_as_synapse_has_them(tmp_path: Path) -> None:
    """Several lines, the first one signs; old ones stand beside, with comments; a key in both files is in use."""
    path = tmp_path / "signing.key"
    first, second, third = (key_file.generate(bytes([n]) * 32) for n in range(3))
    path.write_text(first.to_text() + "\n" + second.to_text())
    assert [key.key_id for key in key_file.load(path).active] == [first.key_id, second.key_id]
    lines = [f"{key.key_id} {key.verify_key().to_base64()} 5\n" for key in (first, third)]
    key_file.old_path(path).write_text("# from Synapse\n" + "".join(lines))

    old = key_file.load(path).old

    assert [key.key.key_id for key in old] == [third.key_id]


@pytest.mark.parametrize("text", ["", "# nothing\n", "ed25519 a_b c\n", "rsa a b\n", "ed25519 a\n"])
def test_a_broken_key_file_is_told(tmp_path: Path, text: str) -> None:
    """By its name; it is never taken for absent."""
    path = tmp_path / "signing.key"
    path.write_text(text)
    with pytest.raises(KeyFileError, match=r"signing\.key"):
        key_file.load_or_make(path, SeededRng())
    assert path.read_text() == text

    path.write_text(key_file.generate(bytes(32)).to_text())
    key_file.old_path(path).write_text("ed25519:x nonsense\n")
    with pytest.raises(KeyFileError, match="line 1"):
        key_file.load(path)


async def test_a_running_server_gets_a_new_key(wire: Wire, clock: FakeClock, tmp_path: Path) -> None:
    """It signs events and requests with that one at once; what the old one signed stays valid."""
    near = await wire.add("near.test", tmp_path, clock=clock)
    far = await wire.add("far.test", tmp_path, clock=clock)
    root, bob = await near.admin(), await far.register("bob")
    old = near.app.services.federation.remotes.signing_key
    room_id = await root.create_room(preset="public_chat")
    await join(bob, room_id)

    async def has_come(event_id: str) -> bool:
        await clock.advance(1)
        return (await bob.get(path("rooms", room_id, "event", event_id))).status == 200

    before = await root.say(room_id, "before")
    await until(lambda: has_come(before))
    # Who has just been asked for their keys is not asked again.
    await clock.advance(ASK_AGAIN_MS / 1000)
    plan = (await root.post(f"{NATIVE}/keys/rotate", {"dry_run": True})).ok()
    assert old.key_id in plan["cannot_be_undone"][0]
    assert near.app.services.federation.remotes.signing_key is old

    made = (await root.post(f"{NATIVE}/keys/rotate")).ok()
    assert made["old_key_ids"] == [old.key_id]
    assert key_file.load(near.app.services.config.signing_key_path).active[0].key_id == made["key_id"]
    answer = await published(near)
    assert list(answer["verify_keys"]) == [made["key_id"]]
    assert answer["old_verify_keys"][old.key_id]["expired_ts"] == made["old_valid_until"]
    (await root.post(f"{NATIVE}/keys/rotate")).error(409, "M_UNKNOWN")

    after = await root.say(room_id, "after")
    await until(lambda: has_come(after))
    for event_id, key_id in ((before, old.key_id), (after, made["key_id"])):
        for server in (near, far):
            stored = await server.app.services.db.read(find_event, event_id)
            assert stored is not None
            assert set(SignedForm(stored[0]).signatures_of("near.test")) == {key_id}


async def test_a_key_that_cannot_be_kept(near: Server) -> None:
    """Nothing changes; the next try may do it."""
    root = await near.admin()
    old = near.app.services.federation.remotes.signing_key
    key_path = near.app.services.config.signing_key_path
    text = key_path.read_text()
    key_path.write_text("nonsense")
    (await root.post(f"{NATIVE}/keys/rotate")).error(500, "M_UNKNOWN")
    assert near.app.services.federation.remotes.signing_key is old
    key_path.write_text(text)
    (await root.post(f"{NATIVE}/keys/rotate")).ok()


async def test_several_machines_are_stopped_for_it(wire: Wire, tmp_path: Path, postgres: Postgres) -> None:
    """They have files of their own."""
    near = await wire.add(
        "near.test", tmp_path, database_url=postgres.new_database(), cluster=Cluster(shared=True)
    )
    root = await near.admin()
    (await root.post(f"{NATIVE}/keys/rotate", {"dry_run": True})).error(400, "M_INVALID_PARAM")
    (await root.post(f"{NATIVE}/keys/rotate")).error(400, "M_INVALID_PARAM")


async def test_all_workers_of_a_machine_follow(wire: Wire, tmp_path: Path, postgres: Postgres) -> None:
    """Whichever was asked."""
    config = test_config(
        tmp_path, postgres.new_database(), server_name="near.test", cluster=Cluster(workers=2)
    )
    one, two = [await Server.start(config, transport=wire.transport("near.test")) for _ in range(2)]
    wire.servers = {"near.test": one, "two": two}
    root = await one.admin()
    made = (await root.post(f"{NATIVE}/keys/rotate")).ok()

    async def has_followed() -> bool:
        return two.app.services.federation.remotes.signing_key.key_id == made["key_id"]

    await until(has_followed)
    assert list((await published(two))["verify_keys"]) == [made["key_id"]]
