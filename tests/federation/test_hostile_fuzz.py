"""Events of a server that go wrong in any way, well signed: the room stays usable for everybody else.

`FUZZ=2000` in the environment draws so many for each room version, other ones each time.
"""

import os
import random
from pathlib import Path
from typing import Any

import pytest

from chamberlain.matrix import canonical_json
from chamberlain.matrix.errors import BadJson
from tests.support.mischief import Names, messages, spoil, state_events
from tests.support.peer_room import forge
from tests.support.postgres import Postgres
from tests.support.server import path
from tests.support.siege import Siege
from tests.support.wire import Wire

DRAWN = int(os.environ.get("FUZZ", "0"))
COUNT = DRAWN or 75
AT_ONCE = 25
ENDS = {"m.room.power_levels", "m.room.server_acl", "m.room.member"}
"""What would take eve's power away, and only end the attack."""
SIGNED = ("signatures", "hashes")
VERSIONS = ["1", "6", "10", "12"]


def draw(siege: Siege, names: Names, rnd: random.Random) -> bytes | None:
    """A PDU of eve, who may do everything, with something wrong in its content or around it."""
    if rnd.random() < 0.5:
        whole = sorted(state_events(names).items(), key=lambda item: item[0])
        (kind, key), content = rnd.choice([item for item in whole if item[0][0] not in ENDS])
        state_key: str | None = key
    else:
        kind, content = rnd.choice(sorted(messages(names).items()))
        state_key = None
    event = siege.room.build(kind, siege.peer.user(), content, state_key)
    fields: dict[str, Any] = canonical_json.decode_lenient(event.pdu)
    if rnd.random() < 0.7:
        fields["content"] = spoil(fields["content"], rnd)
    else:
        fields = spoil({name: value for name, value in fields.items() if name not in SIGNED}, rnd)
    try:
        return forge(siege.room.version, fields, siege.peer.name, siege.peer.key)
    except (BadJson, KeyError, TypeError, AttributeError, ValueError):
        # Not even a liar can sign it.
        return None


@pytest.mark.parametrize("version", VERSIONS)
async def test_spoiled_events(
    wire: Wire, tmp_path: Path, version: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """On SQLite."""
    await spoil_a_room(await Siege.lay(wire, tmp_path, version))
    assert "[error" not in capsys.readouterr().out


async def test_spoiled_events_on_postgres(
    wire: Wire, tmp_path: Path, postgres: Postgres, capsys: pytest.CaptureFixture[str]
) -> None:
    """On PostgreSQL, which is choosier."""
    await spoil_a_room(await Siege.lay(wire, tmp_path, "10", database_url=postgres.new_database()))
    assert "[error" not in capsys.readouterr().out


async def spoil_a_room(siege: Siege) -> None:
    """No failure of ours, nothing in the log of one; clients old and new can use the room as before."""
    rnd = random.Random(random.randrange(2**32) if DRAWN else 8)
    first = next(iter(siege.room.events))
    names = Names(siege.room.room_id, first, siege.peer.user(), "DEVICE", siege.mallory, "#alias:evil.test")
    bob = await siege.near.register("bob")
    batch: list[bytes] = []
    for _ in range(COUNT):
        pdu = draw(siege, names, rnd)
        if pdu is not None:
            batch.append(pdu)
        if len(batch) == AT_ONCE:
            await siege.send(*batch)
            await siege.settle()
            await siege.alice.sync()
            batch.clear()
    await siege.settle()
    for target in ("state", "members", "joined_members", "messages?dir=b&limit=500"):
        assert (await siege.alice.get(f"{path('rooms', siege.room.room_id)}/{target}")).status == 200
    assert (await siege.alice.get("sync?full_state=true")).status == 200
    assert (await bob.get("sync")).status == 200
    assert (await bob.get("publicRooms")).status == 200
