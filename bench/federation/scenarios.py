"""What is measured. Each scenario builds its rooms once, and gives what is then run against each server."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from bench.federation.stage import CLIENT, Side, part
from bench.processes import peak_mib
from chamberlain.matrix.events import Event
from tests.support.peer import Peer
from tests.support.peer_room import PeerRoom

Run = Callable[[Side], Awaitable[None]]
Scenario = Callable[[Sequence[Peer], float], Run]
Feed = tuple[Peer, list[Event]]
"""A peer, and what it is going to send."""
ROOM_VERSION = "10"
FORKS = 5
LAZY = '{"room":{"state":{"lazy_load_members":true}}}'
"""Members as they are needed: how clients sync, and the only way to see a room of which some are missing yet."""


def speaker(peers: Sequence[Peer], number: int) -> str:
    """A member at the `number`th peer, in every room that `new_room` makes for these peers."""
    return peers[number].user(f"member{number}")


def new_room(peers: Sequence[Peer], members: int, others: int = 0) -> PeerRoom:
    """A public room with `members` of all peers and `others` pieces of other state; the speakers have power."""
    room = peers[0].room(ROOM_VERSION)
    room.keys = {peer.name: peer.key for peer in peers}
    # Nothing that is built from here on is of the future.
    room.ts -= members + others
    speakers = [speaker(peers, number) for number in range(len(peers))]
    room.furnish(users=dict.fromkeys([room.creator, *speakers], 100))
    for number in range(members - 1):
        room.member(peers[number % len(peers)].user(f"member{number}"), "join")
    for number in range(others):
        room.send("org.example.thing", room.creator, {"number": number}, f"thing {number}")
    return room


# ---------------------------------------------------------------------------------------------- messages


def incoming(peers: Sequence[Peer], scale: float) -> Run:
    """Messages of one server to one room: fifty to a transaction as after an outage, one by one as in a chat."""
    room = new_room(peers[:1], 20)

    async def run(side: Side) -> None:
        mine = await side.enter(room)
        for batch, count in ((50, int(1000 * scale)), (1, int(300 * scale))):
            said = [mine.say(mine.creator, f"message {number}") for number in range(count)]
            await accept(side, f"one server, {batch} a transaction", [[(peers[0], said)]], batch)

    return run


def incoming_many(peers: Sequence[Peer], scale: float) -> Run:
    """Messages of many servers at the same time: each to a room of its own, then all to one room."""
    own = [new_room([peer], 20) for peer in peers]
    shared = new_room(peers, 10 * len(peers))

    async def run(side: Side) -> None:
        rooms = [await side.enter(room) for room in own]
        feeds = [
            (peer, [room.say(room.creator, f"message {number}") for number in range(int(100 * scale))])
            for peer, room in zip(peers, rooms, strict=True)
        ]
        await accept(side, f"{len(peers)} servers, a room each, 10 a transaction", [feeds], 10)
        room = await side.enter(shared)
        rounds = [crowd(peers, room) for _ in range(int(20 * scale))]
        await accept(side, f"{len(peers)} servers, one room, 5 a transaction", rounds, 5)

    return run


def crowd(peers: Sequence[Peer], room: PeerRoom) -> list[Feed]:
    """Of each peer five messages, sent while it knows nothing of what the others say."""
    heads = sorted(room.heads)
    feeds: list[Feed] = []
    for number, peer in enumerate(peers):
        prev, said = heads, []
        for _ in range(5):
            said.append(room.say(speaker(peers, number), "all at once", prev=prev))
            prev = [said[-1].event_id]
        feeds.append((peer, said))
    return feeds


async def accept(side: Side, name: str, rounds: Sequence[Sequence[Feed]], batch: int) -> None:
    """Note what it costs to take in what peers send, those of a round at the same time."""

    async def work() -> None:
        for feeds in rounds:
            await asyncio.gather(*(side.feed(peer, events, batch) for peer, events in feeds))
            for _, events in feeds:
                await side.see(events[-1])

    seconds, cpu = await side.measure(work)
    sent = [event for feeds in rounds for _, events in feeds for event in events]
    for event in sent:
        if not await side.sees(event):
            raise AssertionError(f"{event} was lost")
    side.note(f"{name}: CPU per PDU", "ms", cpu * 1000 / len(sent))
    side.note(f"{name}: PDUs accepted", "/s", len(sent) / seconds, is_cost=False)


# ---------------------------------------------------------------------------------------------- joins


def join(peers: Sequence[Peer], scale: float) -> Run:
    """The join of a room of 10,000 members with 50,000 pieces of state, all of it in the answer to the join."""
    return joining(peers, scale, omit=False)


def join_without_members(peers: Sequence[Peer], scale: float) -> Run:
    """The same, where the other server leaves the members out if it is asked to."""
    return joining(peers, scale, omit=True)


def joining(peers: Sequence[Peer], scale: float, *, omit: bool) -> Run:
    """The join of a big room, until all of its members are known."""
    members, pieces = int(10_000 * scale), int(50_000 * scale)
    room = new_room(peers, members, pieces - members)
    before = new_room(peers, len(peers) + 1)
    name = f"join{' without members' if omit else ''}, {members} members, {pieces} state"

    async def run(side: Side) -> None:
        # Where a key takes more than ten seconds, which may be the fault of a busy machine, Synapse leaves out what
        # was signed with it, and has a room with fewer members. So it learns them before.
        await side.enter(before)
        mine = side.adopt(room)
        peers[0].omits_members = omit
        times: list[tuple[str, float]] = []

        async def work() -> None:
            began = time.perf_counter()
            await side.join(mine)
            times.append(("answered after", time.perf_counter() - began))
            answer = await side.api.sync(side.user, filter=LAZY)
            if mine.room_id not in answer.get("rooms", {}).get("join", {}):
                raise AssertionError("the room is not in the first sync")
            times.append(("in the first sync after", time.perf_counter() - began))
            path = f"{CLIENT}/rooms/{part(mine.room_id)}/members"
            known = {event["state_key"] for event in (await side.api.call("GET", path, side.user))["chunk"]}
            missing = {key for kind, key in mine.state if kind == "m.room.member"} - known
            if missing:
                servers = Counter(key.partition(":")[2] for key in missing)
                raise AssertionError(f"{len(missing)} of {members} members are missing: {dict(servers)}")
            times.append(("all members known after", time.perf_counter() - began))

        _, cpu = await side.measure(work)
        for what, seconds in times:
            side.note(f"{name}: {what}", "s", seconds)
        side.note(f"{name}: CPU", "s", cpu)
        side.note(f"{name}: peak memory", "MiB", peak_mib(side.target.pids[0]))

    return run


# ---------------------------------------------------------------------------------------------- forks


def fork(peers: Sequence[Peer], scale: float) -> Run:
    """Forks of 20 pieces of state on each side, in a small room and in one of 20,000 members."""
    rooms = [new_room(peers[:2], int(members * scale)) for members in (200, 20_000)]

    async def run(side: Side) -> None:
        for room in rooms:
            mine = await side.enter(room)
            forks = [forked(peers[:2], mine, number) for number in range(FORKS)]

            async def work(forks: list[tuple[list[Feed], Event]] = forks) -> None:
                for feeds, merge in forks:
                    await asyncio.gather(*(side.feed(peer, events, 50) for peer, events in feeds))
                    await side.feed(peers[0], [merge], 1)
                    await side.see(merge)

            seconds, cpu = await side.measure(work)
            await agree(side, mine)
            name = f"fork of 2 × 20 state events, {len(room.state)} state"
            side.note(f"{name}: CPU", "ms", cpu * 1000 / len(forks))
            side.note(f"{name}: resolved after", "ms", seconds * 1000 / len(forks))

    return run


def forked(peers: Sequence[Peer], room: PeerRoom, number: int) -> tuple[list[Feed], Event]:
    """Peers that give the same pieces of state different values, and a message that follows all of them."""
    heads = sorted(room.heads)
    feeds: list[Feed] = []
    for side, peer in enumerate(peers):
        prev, events = heads, []
        for piece in range(20):
            content = {"value": f"{number} {side}"}
            key = f"piece {piece}"
            events.append(room.send("org.example.fork", speaker(peers, side), content, key, prev=prev))
            prev = [events[-1].event_id]
        feeds.append((peer, events))
    return feeds, room.say(room.creator, "after all of them")


async def agree(side: Side, room: PeerRoom) -> None:
    """Fail unless the server has resolved the forks as we have."""
    state = await side.api.call("GET", f"{CLIENT}/rooms/{part(room.room_id)}/state", side.user)
    found = {event["event_id"] for event in state if event["type"] == "org.example.fork"}
    wanted = {event_id for (kind, _), event_id in room.state.items() if kind == "org.example.fork"}
    if found != wanted:
        raise AssertionError(f"{len(found - wanted)} of {len(wanted)} pieces of state came out otherwise")


SCENARIOS: dict[str, Scenario] = {
    "incoming": incoming,
    "incoming_many": incoming_many,
    "join": join,
    "join_without_members": join_without_members,
    "fork": fork,
}
