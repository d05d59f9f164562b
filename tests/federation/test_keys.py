"""The keys of servers: found, kept, told by notaries, never forged."""

import asyncio
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest

from chamberlain.config.federation import Federation
from chamberlain.federation import key_ring as ring_module
from chamberlain.federation.key_ring import KeyRing
from chamberlain.federation.transport import TransportAnswer
from chamberlain.matrix.remote_errors import Unreachable
from chamberlain.matrix.server_keys import PublishedKey, own_keys
from chamberlain.matrix.signing import SigningKey, sign_json
from chamberlain.matrix.types import JsonObject
from chamberlain.store.outbox_lists import list_destinations
from tests.support.clock import FakeClock
from tests.support.server import Server, until
from tests.support.wire import Wire

FAR, NOTARY = "far.test", "notary.test"
HOUR, DAY = 3_600_000, 24 * 3_600_000


def make_key(name: str, version: str = "1") -> SigningKey:
    """The key of this name, always the same."""
    return SigningKey(sha256(f"{name} {version}".encode()).digest(), version)


class KeyHost:
    """A server that has nothing but keys, which a test sets; it may be a notary for others."""

    def __init__(self, wire: Wire, clock: FakeClock, name: str) -> None:
        self.wire = wire
        self.clock = clock
        self.name = name
        self.active = [make_key(name)]
        self.old: list[PublishedKey] = []
        self.valid_for = DAY
        self.answer: Any = None
        """In place of the honest one."""
        self.is_there = True
        self.calls = 0
        self.tells: list[JsonObject] = []
        """What it answers as a notary, to be signed by it."""
        self.queries: list[Any] = []
        wire.peers[name] = self.handle

    def keys(self) -> JsonObject:
        """What it says of its keys."""
        return own_keys(self.name, self.active, self.old, self.clock.now() + self.valid_for)

    async def handle(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | None
    ) -> TransportAnswer:
        """Answer."""
        self.calls += 1
        await asyncio.sleep(0)
        if not self.is_there:
            raise Unreachable(self.name, "not there")
        answer: Any = self.keys() if self.answer is None else self.answer
        if urlsplit(target).path == "/_matrix/key/v2/query":
            self.queries.append(orjson.loads(body or b"null"))
            answer = {"server_keys": [sign_json(told, self.name, self.active[0]) for told in self.tells]}
        return TransportAnswer(200, {}, answer if isinstance(answer, bytes) else orjson.dumps(answer))


@pytest.fixture
async def near(wire: Wire, clock: FakeClock, tmp_path: Path) -> Server:
    """A server that trusts one notary."""
    settings = Federation(trusted_key_servers=(NOTARY, "near.test"))
    return await wire.add("near.test", tmp_path, clock=clock, federation=settings)


@pytest.fixture
def far(wire: Wire, clock: FakeClock) -> KeyHost:
    return KeyHost(wire, clock, FAR)


@pytest.fixture
def notary(wire: Wire, clock: FakeClock) -> KeyHost:
    return KeyHost(wire, clock, NOTARY)


def ring_of(server: Server) -> KeyRing:
    """The key ring."""
    return server.app.services.federation.remotes.key_ring


async def known(server: Server, name: str = FAR, version: str = "1") -> bool:
    """Whether the server knows a key that is valid now, and it is the right one."""
    found = await ring_of(server).find_key(name, f"ed25519:{version}")
    assert found is None or found.to_base64() == make_key(name, version).verify_key().to_base64()
    return found is not None


async def test_a_key_is_asked_for_once(near: Server, far: KeyHost, clock: FakeClock) -> None:
    """However many need it at once, until it lapses."""
    far.valid_for = 300_000
    assert all(await asyncio.gather(*(known(near) for _ in range(20))))
    await clock.advance(300)
    assert await known(near) and far.calls == 1

    await clock.advance(1)
    assert await known(near) and far.calls == 2


async def test_keys_survive_a_restart(
    wire: Wire, near: Server, far: KeyHost, clock: FakeClock, tmp_path: Path
) -> None:
    """And are there while their server is not."""
    assert await known(near)
    await near.stop()
    far.is_there = False

    again = await wire.add("near.test", tmp_path, clock=clock)

    assert await known(again) and far.calls == 1


@pytest.mark.parametrize(
    "lie",
    [
        b"",
        b"no",
        b"[]",
        b"{}",
        b"[" * 5000,
        b'{"server_name": "far.test", "valid_until_ts": 1.5}',
        b'{"server_name":"far.test","valid_until_ts":1e400}',
        "other name",
        "not signed",
        "signed by another",
        "wrong signature",
        "huge",
    ],
)
async def test_what_is_not_signed_by_the_server_is_no_key(
    near: Server, far: KeyHost, clock: FakeClock, lie: bytes | str
) -> None:
    """Nor what is of another server, of another shape or too long."""
    until = clock.now() + DAY
    signed: JsonObject = own_keys(FAR, [make_key(FAR)], [], until)
    lies: dict[Any, Any] = {
        "other name": own_keys("other.test", [make_key(FAR)], [], until),
        "not signed": signed | {"signatures": {}},
        "signed by another": signed | own_keys("x.test", [make_key(FAR)], [], until)["signatures"],
        "wrong signature": signed | {"valid_until_ts": until + 1},
        "huge": sign_json(signed | {"signatures": {}, "x": "x" * 20_000}, FAR, make_key(FAR)),
    }
    far.answer = lies.get(lie, lie)
    if lie == "signed by another":
        far.answer = signed | {"signatures": {"x.test": signed["signatures"][FAR]}}

    assert not await known(near)


async def test_old_keys_verify_events_and_no_requests(near: Server, far: KeyHost, clock: FakeClock) -> None:
    """Up to their end."""
    now = clock.now()
    far.old = [PublishedKey(make_key(FAR, "0").verify_key(), now - HOUR, is_old=True)]

    found = await ring_of(near).find_keys([(FAR, "ed25519:0"), (FAR, "ed25519:1"), (FAR, "ed25519:2")], now)

    assert set(found) == {(FAR, "ed25519:0"), (FAR, "ed25519:1")}
    old = found[FAR, "ed25519:0"]
    assert old.is_old and old.is_valid_at(now - HOUR) and not old.is_valid_at(now)
    assert not await known(near, version="0")


async def test_a_key_that_is_gone_still_verifies_what_it_signed(
    near: Server, far: KeyHost, clock: FakeClock, wire: Wire, tmp_path: Path
) -> None:
    """A server that forgets its old key does not make its events worthless; after a restart neither."""
    before = clock.now()
    far.valid_for = 300_000
    assert await known(near)
    far.active = [make_key(FAR, "2")]
    await clock.advance(301)
    assert not await known(near) and await known(near, version="2")

    await near.stop()
    near = await wire.add("near.test", tmp_path, clock=clock)
    found = await ring_of(near).find_keys([(FAR, "ed25519:1")], before)
    assert found[FAR, "ed25519:1"].is_valid_at(before)


async def test_a_new_key_is_noticed(near: Server, far: KeyHost, clock: FakeClock) -> None:
    """A key that is not known has its server asked, but not more than once a minute."""
    assert await known(near)
    far.active = [make_key(FAR, "2"), make_key(FAR)]
    assert not await known(near, version="2") and far.calls == 1

    await clock.advance(60)
    assert await known(near, version="2") and far.calls == 2


async def test_forged_key_ids_do_not_make_us_ask(near: Server, far: KeyHost, notary: KeyHost) -> None:
    """A thousand ids that nobody has: the server and the notary are asked once each."""
    for number in range(1000):
        assert not await known(near, version=f"no{number}")

    assert far.calls == 1 and len(notary.queries) <= 1


async def test_a_server_that_is_not_there_is_asked_ever_more_seldom(
    near: Server, far: KeyHost, clock: FakeClock
) -> None:
    """After one minute, two, four, up to ten; when it is back its key is found."""
    far.is_there = False
    asked_at = []
    for minute in range(40):
        before = far.calls
        assert not await known(near)
        if far.calls > before:
            asked_at.append(minute)
        await clock.advance(60)
    assert asked_at == [0, 1, 3, 7, 15, 25, 35]

    far.is_there = True
    await clock.advance(600)
    assert await known(near)


async def test_a_flood_of_forged_origins_is_bounded(wire: Wire, near: Server, clock: FakeClock) -> None:
    """Only so many are asked at once, only so many wait, and nothing of it is written down."""
    under_way = most = asked = 0
    stop = asyncio.Event()

    async def slow(*_: Any) -> TransportAnswer:
        nonlocal under_way, most, asked
        asked += 1
        under_way += 1
        most = max(most, under_way)
        await stop.wait()
        under_way -= 1
        raise Unreachable("it", "no")

    wire.peers = {f"s{number}.test": slow for number in range(2000)}
    flood = [asyncio.ensure_future(known(near, f"s{number}.test")) for number in range(2000)]

    async def is_full() -> bool:
        refused = sum(task.done() for task in flood)
        return refused == 2000 - ring_module.STRANGERS_WAITING and asked >= ring_module.ASKED_AT_ONCE

    await until(is_full)
    assert most == asked == ring_module.ASKED_AT_ONCE
    stop.set()
    assert not any(await asyncio.gather(*flood))

    assert asked == ring_module.STRANGERS_WAITING
    assert await near.app.services.db.read(list_destinations, None, "destination", "f", 0, 10) == ([], 0)


async def test_notaries_tell_the_keys_of_servers_that_are_not_there(
    near: Server, far: KeyHost, notary: KeyHost, clock: FakeClock
) -> None:
    """In one request for all that were asked for meanwhile, with the time until when they are needed."""
    far.is_there = False
    notary.tells = [far.keys()]

    assert all(await asyncio.gather(*(known(near, name) for name in (FAR, FAR))))
    wanted = {FAR: {"ed25519:1": {"minimum_valid_until_ts": clock.now()}}}
    assert notary.queries == [{"server_keys": wanted}]
    assert await known(near) and far.calls == 1


@pytest.mark.parametrize("lie", ["not by the notary", "not by the server", "another key", "floats"])
async def test_notaries_are_not_believed_everything(
    near: Server, far: KeyHost, notary: KeyHost, clock: FakeClock, lie: str
) -> None:
    """Both signatures are needed, and a key must be the one that it says."""
    far.is_there = False
    told = far.keys()
    if lie == "not by the server":
        told["signatures"] = {}
    if lie == "another key":
        told["verify_keys"] = {"ed25519:1": {"key": make_key("x").verify_key().to_base64()}}
    if lie == "not by the notary":
        notary.answer = own_keys(NOTARY, [make_key("x")], [], clock.now() + DAY)
    notary.tells = [told]
    if lie == "floats":
        notary.tells = []
        notary.answer = b'{"server_keys": [{"server_name": "far.test", "x": 1.5}]}'

    assert not await known(near)


async def test_a_notary_does_not_bring_back_what_a_server_has_withdrawn(
    near: Server, far: KeyHost, notary: KeyHost, clock: FakeClock
) -> None:
    """What it kept may be older than what is known."""
    stale = far.keys()
    far.old = [PublishedKey(make_key(FAR).verify_key(), clock.now(), is_old=True)]
    far.active = [make_key(FAR, "2")]
    assert await known(near, version="2") and not await known(near)
    notary.tells = [stale]
    await clock.advance(60)

    assert not await known(near, version="3")
    assert len(notary.queries) == 1 and not await known(near)


async def test_many_servers_are_asked_for_at_notaries_first(
    wire: Wire, near: Server, notary: KeyHost, clock: FakeClock
) -> None:
    """Joining a big room does not take a request for each server."""
    hosts = [KeyHost(wire, clock, f"s{number}.test") for number in range(30)]
    notary.tells = [host.keys() for host in hosts[1:]]

    found = await ring_of(near).find_keys([(host.name, "ed25519:1") for host in hosts], clock.now())

    assert len(found) == 30
    assert [host.calls for host in hosts] == [1] + [0] * 29 and len(notary.queries) == 1


async def test_this_server_is_a_notary(wire: Wire, near: Server, far: KeyHost, clock: FakeClock) -> None:
    """It signs what others said of their keys, and what it says of its own; it asks no notary for it."""
    own = near.app.services.federation.remotes.own_keys

    def is_signed(answer: JsonObject, name: str) -> bool:
        key_id = own.signing_key.key_id
        return name == answer["server_name"] and key_id in answer["signatures"].get("near.test", {})

    answer = (await near.anonymous.get(f"/_matrix/key/v2/query/{FAR}")).ok()["server_keys"]
    assert len(answer) == 1 and is_signed(answer[0], FAR)
    assert answer[0]["signatures"][FAR] == far.keys()["signatures"][FAR]
    answer = (await near.anonymous.get(f"/_matrix/key/v2/query/{FAR}/ed25519%3A1")).ok()["server_keys"]
    assert len(answer) == 1 and far.calls == 1

    until = clock.now() + DAY
    await clock.advance(HOUR / 1000)
    late = f"/_matrix/key/v2/query/{FAR}?minimum_valid_until_ts={until}"
    assert len((await near.anonymous.get(late)).ok()["server_keys"]) == 1 and far.calls == 1
    late = f"/_matrix/key/v2/query/{FAR}?minimum_valid_until_ts={until + HOUR}"
    assert (await near.anonymous.get(late)).ok()["server_keys"][0]["valid_until_ts"] == until + HOUR
    assert far.calls == 2

    body = {"server_keys": {FAR: {}, "near.test": {"ed25519:1": {}}, "gone.test": {}, "no name": {}}}
    answers = (await near.anonymous.post("/_matrix/key/v2/query", body)).ok()["server_keys"]
    assert {answer["server_name"]: is_signed(answer, answer["server_name"]) for answer in answers} == {
        FAR: True,
        "near.test": True,
    }
    for key_id, count in (("ed25519:1", 1), ("ed25519:other", 0)):
        body = {"server_keys": {FAR: {key_id: {}}}}
        answers = (await near.anonymous.post("/_matrix/key/v2/query", body)).ok()["server_keys"]
        assert len(answers) == count
    many: JsonObject = {"server_keys": {f"s{number}.test": {} for number in range(1001)}}
    (await near.anonymous.post("/_matrix/key/v2/query", many)).error(400, "M_INVALID_PARAM")


async def test_two_servers_of_ours_are_notaries_for_each_other(
    wire: Wire, clock: FakeClock, far: KeyHost, tmp_path: Path
) -> None:
    """What one answers satisfies the other."""
    helper = await wire.add(NOTARY, tmp_path, clock=clock)
    near = await wire.add(
        "near.test", tmp_path, clock=clock, federation=Federation(trusted_key_servers=(NOTARY,))
    )
    assert await known(helper)
    far.is_there = False

    assert await known(near)


async def test_own_keys_are_known(near: Server) -> None:
    """Without asking anybody."""
    own = near.app.services.federation.remotes.own_keys

    assert await ring_of(near).find_key("near.test", own.signing_key.key_id) is not None
    assert await ring_of(near).find_key("near.test", "ed25519:no") is None
