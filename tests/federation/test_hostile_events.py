"""Events of a server that lies: refused within bounds, nothing of them is left, the room lives on."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from chamberlain.matrix import canonical_json
from chamberlain.matrix.events import Event
from chamberlain.matrix.signing import SigningKey
from tests.support.peer import Peer
from tests.support.peer_room import forge, resign
from tests.support.siege import Siege, difference
from tests.support.wire import Wire

STRANGER = SigningKey(b"s" * 32, "peer")
MAX_DEPTH = 2**63 - 1
MAX_INTEGER = 2**53 - 1

Make = Callable[[Siege], bytes]


@pytest.fixture
async def siege(wire: Wire, tmp_path: Path) -> Siege:
    """A siege in a room of version 10."""
    return await Siege.lay(wire, tmp_path)


def fields_of(event: Event) -> dict[str, Any]:
    """The PDU as a dict."""
    fields: dict[str, Any] = canonical_json.decode_lenient(event.pdu)
    return fields


def without(fields: dict[str, Any], *names: str) -> dict[str, Any]:
    """The PDU without some fields."""
    return {name: value for name, value in fields.items() if name not in names}


def unsigned(siege: Siege) -> bytes:
    """No signatures at all."""
    return canonical_json.encode(fields_of(siege.message()) | {"signatures": {}})


def signed_by_a_stranger(siege: Siege) -> bytes:
    """The right name and key id, another key."""
    return resign(siege.room.version, fields_of(siege.message()), siege.peer.name, STRANGER)


def signed_with_an_unknown_key(siege: Siege) -> bytes:
    """A key id that its server does not publish."""
    key = SigningKey(b"u" * 32, "unheard_of")
    return resign(siege.room.version, fields_of(siege.message()), siege.peer.name, key)


def changed_after_signing(siege: Siege) -> bytes:
    """A protected field is not what was signed."""
    return canonical_json.encode(fields_of(siege.message()) | {"origin_server_ts": 1})


def of_another_server(siege: Siege) -> bytes:
    """The sender is a user of a server that has not signed."""
    return siege.forged(sender="@victim:honest.test")


def of_ours(siege: Siege) -> bytes:
    """The sender is alice."""
    return siege.forged(sender="@alice:near.test")


def signatures_of_wrong_shape(siege: Siege) -> bytes:
    """Signatures that are no strings."""
    return canonical_json.encode(
        fields_of(siege.message()) | {"signatures": {siege.peer.name: {siege.peer.key.key_id: ["x"]}}}
    )


def too_large(siege: Siege) -> bytes:
    """More than 65,536 bytes."""
    return siege.forged(content={"body": "x" * 70_000})


def too_many_predecessors(siege: Siege) -> bytes:
    """More predecessors than an event may have."""
    return siege.forged(prev_events=[f"$prev{number}" for number in range(21)])


def too_many_auth_events(siege: Siege) -> bytes:
    """More auth events than an event may have."""
    return siege.forged(auth_events=[*siege.message().auth_events, *(f"$auth{n}" for n in range(10))])


def without_type(siege: Siege) -> bytes:
    """A field is missing."""
    return siege.forge(without(fields_of(siege.message()), "type"))


def content_is_a_list(siege: Siege) -> bytes:
    """A field of a wrong type."""
    return canonical_json.encode(fields_of(siege.message()) | {"content": []})


def references_of_version_1(siege: Siege) -> bytes:
    """The event format of another room version."""
    head = sorted(siege.room.heads)[0]
    return siege.forged(prev_events=[[head, {"sha256": "x"}]], event_id="$mine:evil.test")


def negative_depth(siege: Siege) -> bytes:
    """A depth below zero."""
    return siege.forged(depth=-1)


def depth_beyond_json(siege: Siege) -> bytes:
    """A depth that canonical JSON has not."""
    fields = fields_of(siege.message())
    return orjson.dumps(fields | {"depth": MAX_DEPTH})


def a_float(siege: Siege) -> bytes:
    """A number that canonical JSON has not."""
    return canonical_json.encode_lenient(fields_of(siege.message()) | {"content": {"body": "x", "n": 1.5}})


def a_huge_integer(siege: Siege) -> bytes:
    """Another one."""
    return canonical_json.encode_lenient(fields_of(siege.message()) | {"content": {"n": 10**30}})


def missing_auth_event(siege: Siege) -> bytes:
    """It cites what nobody has."""
    cited = [*siege.message().auth_events[:-1], "$" + "n" * 43]
    return siege.forged(auth_events=cited)


def long_state_key(siege: Siege) -> bytes:
    """A state key of more than 255 bytes."""
    return siege.forged(type="m.room.topic", state_key="é" * 128)


def sender_is_no_user(siege: Siege) -> bytes:
    """The sender is no user id."""
    return siege.forged(sender="mallory")


def in_a_room_elsewhere(siege: Siege) -> bytes:
    """A room that nobody here is in."""
    return siege.forged(room_id="!elsewhere:evil.test")


def an_own_create_event(siege: Siege) -> bytes:
    """The create event of a room that nobody here is in."""
    (create,) = siege.peer.room("10").events.values()
    return create.pdu


DROPPED: list[Make] = [
    unsigned,
    signed_by_a_stranger,
    signed_with_an_unknown_key,
    changed_after_signing,
    of_another_server,
    of_ours,
    signatures_of_wrong_shape,
    too_large,
    too_many_predecessors,
    too_many_auth_events,
    without_type,
    content_is_a_list,
    references_of_version_1,
    negative_depth,
    depth_beyond_json,
    a_float,
    a_huge_integer,
    missing_auth_event,
    long_state_key,
    sender_is_no_user,
    in_a_room_elsewhere,
    an_own_create_event,
]


@pytest.mark.parametrize("make", DROPPED, ids=lambda make: make.__name__)
async def test_what_is_no_event_leaves_nothing(siege: Siege, make: Make) -> None:
    """After it an honest message adds the rows that it always adds, and no others; the state is what it was."""
    honest = await siege.growth()
    before, state = await siege.counts(), await siege.state()

    await siege.attack(make(siege))

    assert difference(before, await siege.counts()) == honest
    assert await siege.state() == state


@pytest.mark.parametrize("make", DROPPED, ids=lambda make: make.__name__)
async def test_what_is_no_event_harms_no_other_of_its_transaction(siege: Siege, make: Make) -> None:
    """An honest event in the same transaction arrives."""
    bad = make(siege)
    good = siege.room.say(siege.peer.user(), "good")

    await siege.send(bad, good)
    await siege.settle()

    assert await siege.sees(good.event_id)


NO_OBJECTS = [
    b"1",
    b'"event"',
    b"null",
    b"[]",
    b"{}",
    b"[[[[]]]]",
    b'{"room_id":7}',
    b'{"room_id":"\\u0000"}',
]


@pytest.mark.parametrize("pdu", NO_OBJECTS, ids=bytes.decode)
async def test_pdus_that_are_no_objects(siege: Siege, pdu: bytes) -> None:
    """They are passed over."""
    good = siege.room.say(siege.peer.user(), "good")

    await siege.send(pdu, good)
    await siege.settle()

    assert await siege.sees(good.event_id)


# ---------------------------------------------------------------------------------------------- rejected


def of_somebody_who_is_not_in(siege: Siege) -> Event:
    """The sender is not in the room."""
    return siege.room.build("m.room.message", siege.peer.user("ghost"), {"body": "boo"})


def without_power(siege: Siege) -> Event:
    """State that mallory may not set."""
    return siege.room.build("m.room.topic", siege.mallory, {"topic": "mine"}, "")


def takes_power(siege: Siege) -> Event:
    """Power levels by somebody without power."""
    return siege.room.build("m.room.power_levels", siege.mallory, {"users": {siege.mallory: 100}}, "")


def throws_us_out(siege: Siege) -> Event:
    """A kick by somebody without power."""
    return siege.room.build("m.room.member", siege.mallory, {"membership": "leave"}, siege.alice.user_id)


def state_of_another_user(siege: Siege) -> Event:
    """State under the id of somebody else."""
    return siege.room.build("org.example.mine", siege.peer.user(), {}, siege.mallory)


def a_second_create_event(siege: Siege) -> Event:
    """The room begins again."""
    return siege.room.build("m.room.create", siege.peer.user(), {"creator": siege.peer.user()}, "")


def cites_what_has_no_say(siege: Siege) -> Event:
    """One auth event too many."""
    visibility = siege.room.state[("m.room.history_visibility", "")]
    event = siege.message()
    return siege.message(auth=[*event.auth_events, visibility])


def cites_nothing(siege: Siege) -> Event:
    """No auth events at all."""
    return siege.message(auth=[])


def membership_is_no_string(siege: Siege) -> Event:
    """A membership of a wrong type."""
    return siege.room.build("m.room.member", siege.mallory, {"membership": ["join"]}, siege.mallory)


def power_is_no_number(siege: Siege) -> Event:
    """Power levels of a wrong type."""
    return siege.room.build("m.room.power_levels", siege.peer.user(), {"users": {siege.mallory: "100"}}, "")


REJECTED: list[Callable[[Siege], Event]] = [
    of_somebody_who_is_not_in,
    without_power,
    takes_power,
    throws_us_out,
    state_of_another_user,
    a_second_create_event,
    cites_what_has_no_say,
    cites_nothing,
    membership_is_no_string,
    power_is_no_number,
]


@pytest.mark.parametrize("make", REJECTED, ids=lambda make: make.__name__)
async def test_what_is_not_allowed_is_not_shown(siege: Siege, make: Callable[[Siege], Event]) -> None:
    """It is remembered as rejected at most; no client hears of it, and the state is what it was."""
    state = await siege.state()
    await siege.alice.sync()
    event = make(siege)

    await siege.attack(event)

    row = await siege.row(event.event_id)
    assert row is None or row["rejected"]
    assert not await siege.sees(event.event_id)
    assert await siege.state() == state
    assert event.event_id not in str(await siege.alice.sync())
    assert event.event_id not in str(await siege.timeline())


@pytest.mark.parametrize("make", REJECTED, ids=lambda make: make.__name__)
async def test_what_follows_a_rejected_event_is_judged_by_itself(
    siege: Siege, make: Callable[[Siege], Event]
) -> None:
    """A predecessor that was rejected does not make an event one; it counts for no state."""
    state = await siege.state()
    rejected = siege.room.put(make(siege), rejected=True)
    after = siege.room.say(
        siege.peer.user(),
        "after it",
        prev=[rejected.event_id],
        auth=[
            state[key]
            for key in [
                ("m.room.create", ""),
                ("m.room.power_levels", ""),
                ("m.room.member", siege.peer.user()),
            ]
        ],
        depth=rejected.depth + 1,
    )

    await siege.attack(rejected, after)

    assert await siege.sees(after.event_id)
    assert await siege.state() == state


async def test_two_auth_events_for_one_key(siege: Siege) -> None:
    """An old membership beside the new one."""
    first = siege.room.state[("m.room.member", siege.mallory)]
    await siege.attack(siege.room.member(siege.mallory, "join"))

    event = siege.message(auth=[*siege.message().auth_events, first])
    await siege.attack(event)

    assert not await siege.sees(event.event_id)


async def test_what_cites_a_rejected_event_is_rejected(siege: Siege) -> None:
    """A rejected power_levels event gives nobody power."""
    taken = takes_power(siege)
    siege.room.put(taken, rejected=True)
    message = siege.message()
    power = siege.room.state[("m.room.power_levels", "")]
    auth = [taken.event_id if cited == power else cited for cited in message.auth_events]
    topic = siege.room.build("m.room.topic", siege.mallory, {"topic": "mine"}, "", auth=auth)

    await siege.attack(taken, topic)

    assert not await siege.sees(topic.event_id)
    assert ("m.room.topic", "") not in await siege.state()


async def test_events_of_another_room_authorize_nothing(siege: Siege) -> None:
    """Power in a room of one's own is no power in this one."""
    own = siege.peer.room("10")
    own.furnish(users={siege.peer.user(): 100, siege.mallory: 100})
    own.member(siege.mallory, "join")
    await siege.join(own)
    auth = [
        own.state[key]
        for key in [("m.room.create", ""), ("m.room.power_levels", ""), ("m.room.member", siege.mallory)]
    ]
    topic = siege.room.build("m.room.topic", siege.mallory, {"topic": "mine"}, "", auth=auth)

    await siege.attack(topic)

    assert not await siege.sees(topic.event_id)
    assert ("m.room.topic", "") not in await siege.state()


async def test_predecessors_in_another_room_are_none(siege: Siege) -> None:
    """An event that follows one of another room does not drag the state of that room in."""
    own = siege.peer.room("10").furnish()
    await siege.join(own)
    state = await siege.state()

    event = siege.room.say(
        siege.mallory, "after what?", prev=sorted(own.heads), auth=siege.message().auth_events
    )
    siege.room.heads -= {event.event_id}
    await siege.attack(event)

    assert await siege.state() == state


# ---------------------------------------------------------------------------------------------- redacted


async def test_a_wrong_hash_makes_an_event_count_as_redacted(siege: Siege) -> None:
    """The signature is good, the content is not what was hashed: what is not protected is gone."""
    fields = fields_of(siege.message()) | {"content": {"msgtype": "m.text", "body": "changed on the way"}}
    event = Event.from_dict(fields, siege.room.version)

    await siege.attack(event.pdu)

    found = (await siege.read(event.event_id)).ok()
    assert found["content"] == {}


async def test_a_wrong_hash_of_state(siege: Siege) -> None:
    """A membership keeps its membership, and nothing of what was put in later."""
    honest = siege.room.build(
        "m.room.member", siege.mallory, {"membership": "join", "displayname": "Mallory"}, siege.mallory
    )
    fields = fields_of(honest)
    fields["content"]["displayname"] = "Eve"
    event = Event.from_dict(fields, siege.room.version)

    await siege.attack(event.pdu)

    assert (await siege.alice.state(siege.room.room_id, "m.room.member", siege.mallory)).ok() == {
        "membership": "join"
    }


# ---------------------------------------------------------------------------------------------- accepted


@pytest.mark.parametrize("depth", [1_000_000, MAX_INTEGER])
async def test_depths_that_nobody_can_have(siege: Siege, depth: int) -> None:
    """The event may stand; whoever writes after it still can, within the numbers that events may have."""
    event = siege.room.say(siege.mallory, "deep", depth=depth)
    await siege.attack(event)

    said = await siege.alice.say(siege.room.room_id, "hello")
    row = await siege.row(said)

    assert row is not None and row["depth"] <= MAX_INTEGER
    assert orjson.loads(row["pdu"])["depth"] == min(MAX_INTEGER, row["depth"])
    assert (await siege.timeline())[0]["event_id"] == said


@pytest.mark.parametrize("depth", [MAX_INTEGER, MAX_DEPTH])
async def test_the_deepest_event_of_old_rooms(
    wire: Wire, tmp_path: Path, database_url: str, depth: int
) -> None:
    """In room version 1 depths go up to 2^63-1: nothing overflows after that."""
    siege = await Siege.lay(wire, tmp_path, "1", database_url=database_url)
    siege.room.say(siege.mallory, "deep", depth=depth)
    await siege.send(*[siege.room.events[head] for head in siege.room.heads])
    siege.room.heads.clear()

    said = await siege.alice.say(siege.room.room_id, "hello")
    row = await siege.row(said)

    assert row is not None and row["depth"] <= MAX_DEPTH
    assert said in str(await siege.timeline())


async def test_numbers_that_only_old_rooms_have(wire: Wire, tmp_path: Path, database_url: str) -> None:
    """Floats and huge integers come through as they are where the room version has them."""
    siege = await Siege.lay(wire, tmp_path, "1", database_url=database_url)
    content = {"msgtype": "m.text", "body": "big", "huge": 10**30, "half": 0.5}
    event = siege.room.send("m.room.message", siege.mallory, content)

    await siege.attack(event)

    answer = await siege.read(event.event_id)
    assert answer.status == 200
    assert b'"huge":1' + b"0" * 30 in answer.body.replace(b" ", b"")
    assert (await siege.alice.sync())["rooms"]["join"]


@pytest.mark.parametrize("text", ["\0", "a\0b", "\x01\x1f", "\u202e", "\U0001f600"])
async def test_characters_that_databases_dislike(
    wire: Wire, tmp_path: Path, database_url: str, text: str
) -> None:
    """They come through in content, types and state keys."""
    siege = await Siege.lay(wire, tmp_path, database_url=database_url)
    said = siege.room.send("m.room.message", siege.mallory, {"msgtype": "m.text", "body": text})
    kind = siege.room.send(f"org.example.{text}", siege.mallory, {"a": text})
    state = siege.room.send("org.example.state", siege.peer.user(), {"a": text}, text)

    await siege.attack(said, kind, state)

    assert (await siege.read(said.event_id)).ok()["content"]["body"] == text
    assert (await siege.read(kind.event_id)).ok()["type"] == f"org.example.{text}"
    assert (await siege.read(state.event_id)).ok()["state_key"] == text
    assert (await siege.state())[("org.example.state", text)] == state.event_id


async def test_lone_surrogates(siege: Siege) -> None:
    """What is no text is refused, as a part of a transaction or with all of it, and never a failure of ours."""
    before = await siege.counts()
    marked = siege.forged(content={"body": "MARK"}).replace(b"MARK", b"\\ud800")
    for pdu in (marked, marked.replace(b"\\ud800", b"\xed\xa0\x80"), marked.replace(b"\\ud800", b"\xff")):
        answer = await siege.peer.send("near.test", [pdu])
        assert answer.status in (200, 400), answer.body
    assert (await siege.counts())["events"] == before["events"]
    await siege.settle()


# ---------------------------------------------------------------------------------------------- circles and old ids


def circle(siege: Siege) -> list[bytes]:
    """Two topics, each of which is authorized by the other: possible where ids are chosen freely."""
    base = siege.room.build("m.room.topic", siege.peer.user(), {"topic": "round"}, "")
    fields = fields_of(base)
    pdus = []
    for own, other in (("$one:evil.test", "$two:evil.test"), ("$two:evil.test", "$one:evil.test")):
        cited = [*fields["auth_events"], [other, {"sha256": "x"}]]
        pdus.append(siege.forge(fields | {"event_id": own, "auth_events": cited}))
    return pdus


@pytest.mark.parametrize("version", ["1", "2"])
async def test_circles_of_auth_events(wire: Wire, tmp_path: Path, version: str) -> None:
    """They are dropped, whether they come as they are or as an answer."""
    siege = await Siege.lay(wire, tmp_path, version)
    one, two = circle(siege)
    siege.peer.lies["event_auth"] = lambda asked, honest: {
        "auth_chain": [orjson.Fragment(one), orjson.Fragment(two)]
    }

    await siege.attack(one, two)

    for name in ("$one:evil.test", "$two:evil.test"):
        row = await siege.row(name)
        assert row is None or row["rejected"]
        assert not await siege.sees(name)
    assert ("m.room.topic", "") not in await siege.state()


@pytest.mark.parametrize("version", ["1", "2"])
async def test_an_event_that_is_its_own_predecessor(wire: Wire, tmp_path: Path, version: str) -> None:
    """The shortest circle: nothing waits for ever."""
    siege = await Siege.lay(wire, tmp_path, version)
    fields = fields_of(siege.message())
    pdu = siege.forge(
        fields | {"event_id": "$self:evil.test", "prev_events": [["$self:evil.test", {"sha256": "x"}]]}
    )

    await siege.attack(pdu)


@pytest.mark.parametrize("version", ["1", "2"])
async def test_an_id_that_is_taken(wire: Wire, tmp_path: Path, version: str) -> None:
    """Another event under a known id does not take its place."""
    siege = await Siege.lay(wire, tmp_path, version)
    first = siege.room.say(siege.mallory, "first")
    await siege.attack(first)
    fields = fields_of(siege.message()) | {"event_id": first.event_id, "content": {"body": "second"}}

    await siege.attack(siege.forge(fields))

    assert (await siege.read(first.event_id)).ok()["content"]["body"] == "first"


async def test_an_id_of_another_server(wire: Wire, tmp_path: Path) -> None:
    """In version 1 the server in the id must have signed as well."""
    siege = await Siege.lay(wire, tmp_path, "1")
    fields = fields_of(siege.message()) | {"event_id": "$mine:near.test"}

    await siege.attack(siege.forge(fields))

    assert await siege.row("$mine:near.test") is None


async def test_a_signature_of_ours_cannot_be_made(wire: Wire, tmp_path: Path) -> None:
    """An event that says to be signed by us is verified with our key, and asks nobody."""
    siege = await Siege.lay(wire, tmp_path)
    fields = without(fields_of(siege.message()), "hashes", "signatures") | {"sender": "@alice:near.test"}
    pdu = forge(siege.room.version, fields, "near.test", STRANGER)

    await siege.attack(pdu)

    assert Event.parse(pdu, siege.room.version).event_id not in str(await siege.timeline())


# ---------------------------------------------------------------------------------------------- version 12


@pytest.fixture
async def twelve(wire: Wire, tmp_path: Path) -> AsyncIterator[Siege]:
    """A siege in a room of version 12."""
    yield await Siege.lay(wire, tmp_path, "12")


async def test_version_12_cites_no_create_event(twelve: Siege) -> None:
    """An event that cites it is rejected."""
    create = "$" + twelve.room.room_id[1:]
    event = twelve.message()

    bad = twelve.message(auth=[*event.auth_events, create])
    await twelve.attack(bad)

    assert not await twelve.sees(bad.event_id)


async def test_version_12_creators_are_in_no_power_levels(twelve: Siege) -> None:
    """Power levels that name the creator are rejected."""
    event = twelve.room.build(
        "m.room.power_levels", twelve.peer.user(), {"users": {twelve.peer.user(): 100}}, ""
    )

    await twelve.attack(event)

    assert not await twelve.sees(event.event_id)


async def test_version_12_create_event_with_a_room_id(twelve: Siege) -> None:
    """Such a create event is no event."""
    create = twelve.room.events[twelve.room.state[("m.room.create", "")]]
    fields = fields_of(create) | {"room_id": twelve.room.room_id}
    state = await twelve.state()

    await twelve.attack(twelve.forge(fields))

    assert await twelve.state() == state


async def test_version_12_a_second_create_event(twelve: Siege) -> None:
    """Another create event makes another room, which nobody here is in."""
    other = twelve.peer.room("12")
    with_rows = await twelve.counts()
    create = next(iter(other.events.values()))

    await twelve.attack(create)

    assert await twelve.row(create.event_id) is None
    assert (await twelve.counts())["rooms"] == with_rows["rooms"]


async def test_keys_are_not_asked_for_without_end(siege: Siege) -> None:
    """Many signatures with many made-up keys of one server cost it a few requests at most."""
    elsewhere = Peer.on(siege.wire, "honest.test")
    pdus = []
    for number in range(40):
        fields = without(fields_of(siege.message()), "hashes", "signatures")
        key = SigningKey(bytes([number]) * 32, f"made_up_{number}")
        pdus.append(forge(siege.room.version, fields | {"sender": "@victim:honest.test"}, "honest.test", key))

    await siege.send(*pdus)
    await siege.settle()

    assert len(elsewhere.asked) <= 5
