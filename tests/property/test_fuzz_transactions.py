"""Hostile transactions: whatever stands in PDUs and EDUs, there is an answer, and nothing fails inside."""

import asyncio
import itertools
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chamberlain.federation.inbound import edus as inbound_edus
from chamberlain.federation.inbound import room_queues
from tests.support.hostile import WORDS
from tests.support.peer import Peer
from tests.support.server import Server
from tests.support.sharing import message, seat
from tests.support.wire import Wire

T = TypeVar("T")

EXAMPLES = 60
ALICE, EVE = "@alice:near.test", "@eve:peer.test"


class Arena:
    """A server and a peer, on a loop of their own; what is logged as a failure is kept."""

    def __init__(self, folder: pytest.TempPathFactory) -> None:
        self.loop = asyncio.new_event_loop()
        self.failures: list[str] = []
        self.txn = itertools.count()
        self.run(self._start(folder))

    async def _start(self, folder: pytest.TempPathFactory) -> None:
        self.wire = Wire()
        self.server: Server = await self.wire.add("near.test", folder.mktemp("arena"))
        self.peer = Peer.on(self.wire, "peer.test")
        alice = await self.server.register("alice")
        self.device_id = alice.device_id
        self.room = await alice.create_room(preset="public_chat")
        self.event_id = await alice.say(self.room, "hello")
        await seat(self.server, self.room, EVE)
        await alice.sync()
        self.alice = alice
        self.event = message(self.peer, self.room, "hello")

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run to the end, which must come in seconds."""
        return self.loop.run_until_complete(asyncio.wait_for(work, 60))

    def close(self) -> None:
        """Stop the server."""
        self.run(self.wire.stop())
        self.loop.close()

    async def send(self, pdus: list[Any], edus: list[Any]) -> int:
        """Send a transaction, work off what is staged, and let Alice sync."""
        body = orjson.dumps({"pdus": pdus, "edus": edus}, option=orjson.OPT_SORT_KEYS)
        target = f"/_matrix/federation/v1/send/{next(self.txn)}"
        answer = await self.peer.request("near.test", "PUT", target, body)
        while self.server.app.services.federation.inbound.room_queues.busy:
            await asyncio.sleep(0)
        await self.alice.sync()
        return answer.status


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    """The server under attack."""
    made = Arena(tmp_path_factory)
    for module in (inbound_edus, room_queues):
        module._log = module._log.bind()

        def note(event: str, **more: Any) -> None:
            made.failures.append(event)

        module._log.exception = note  # type: ignore[method-assign]
    yield made
    made.close()


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([word for word in WORDS if word.isprintable()] + [ALICE, EVE, "$event", "\0"]),
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def valid(arena: Arena) -> list[dict[str, Any]]:
    """An EDU of each type that does something."""
    room, device = arena.room, arena.device_id
    keys = {"user_id": EVE, "device_id": "D", "algorithms": [], "keys": {}, "signatures": {}}
    signing = {"user_id": EVE, "usage": ["master"], "keys": {"ed25519:" + "A" * 43: "A" * 43}}
    contents: dict[str, dict[str, Any]] = {
        "m.typing": {"room_id": room, "user_id": EVE, "typing": True},
        "m.presence": {"push": [{"user_id": EVE, "presence": "online", "last_active_ago": 5}]},
        "m.receipt": {room: {"m.read": {EVE: {"event_ids": [arena.event_id], "data": {"ts": 5}}}}},
        "m.direct_to_device": {
            "sender": EVE,
            "type": "m.test",
            "message_id": "1",
            "messages": {ALICE: {device: {"a": 1}, "*": {}}},
        },
        "m.device_list_update": {
            "user_id": EVE,
            "device_id": "D",
            "stream_id": 5,
            "prev_id": [4],
            "deleted": False,
            "keys": keys,
            "device_display_name": "name",
        },
        "m.signing_key_update": {"user_id": EVE, "master_key": signing, "self_signing_key": signing},
    }
    return [{"edu_type": kind, "content": content} for kind, content in contents.items()]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path to each part of a JSON value."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A copy of a JSON value with another part in one place."""
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_whatever_stands_in_a_transaction(arena: Arena, data: st.DataObject) -> None:
    """Valid ones with a part that is something else, and things out of nowhere."""
    edus = []
    for edu in valid(arena):
        path = data.draw(st.sampled_from(list(places(edu))))
        edus.append(replaced(edu, path, data.draw(JSON)))
    pdu = orjson.loads(arena.event.pdu)
    path = data.draw(st.sampled_from(list(places(pdu))))
    pdus = [replaced(pdu, path, data.draw(JSON)), data.draw(JSON)]

    status = arena.run(arena.send(pdus, [*edus, data.draw(JSON)]))

    assert status in (200, 400)
    assert arena.failures == []
    status = arena.run(arena.send([], valid(arena)))
    assert status == 200 and arena.failures == []
