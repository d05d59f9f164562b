"""The keys that a server signs with: in files, published, rotated."""

from pathlib import Path

import pytest

from chamberlain.federation import key_file
from chamberlain.federation.key_file import KeyFileError
from chamberlain.federation.own_keys import VALID_MS
from chamberlain.matrix.server_keys import parse_server_keys
from tests.support.clock import FakeClock
from tests.support.rng import SeededRng
from tests.support.server import Server
from tests.support.wire import Wire


async def published(server: Server, at: str = "") -> dict[str, object]:
    """What the server says of its keys."""
    answer: dict[str, object] = (await server.anonymous.get(f"/_matrix/key/v2/server{at}")).ok()
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
