"""What workers tell one another: in one order, gathered, and never more than a message holds."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec
import pytest

from chamberlain.runtime import bus as module
from chamberlain.runtime.bus import BEAT_S, PAUSE_S, SILENT_S, Bus, NotSent
from tests.support.clock import FakeClock


class Word(msgspec.Struct, frozen=True, array_like=True):
    """A piece of news."""

    text: str


class Words:
    """What a worker heard, each with the place and who told it."""

    kind = Word

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.heard_words: list[tuple[int, str, str]] = []
        self.lost_workers: list[str] = []
        self.repeated: list[bool] = []
        self.held: asyncio.Event | None = None
        bus.subscribe("words", self)

    async def prepare(self, news: Word) -> None:
        if self.held is not None:
            await self.held.wait()

    def heard(self, worker: str, news: Word) -> None:
        if news.text == "bad":
            raise ValueError
        self.heard_words.append((self.bus.position, worker, news.text))

    def lost(self, worker: str) -> None:
        self.lost_workers.append(worker)

    def repeat(self, *, all_of_it: bool) -> None:
        self.repeated.append(all_of_it)

    def say(self, text: str, *, later: bool = False) -> None:
        self.bus.tell("words", text, Word(text), later=later)

    @property
    def texts(self) -> list[str]:
        return [text for _, _, text in self.heard_words]


class Line:
    """A carrier in process."""

    max_bytes = 300

    def __init__(self) -> None:
        self.receivers: list[Callable[[str], None]] = []
        self.sent: list[str] = []
        self.is_broken = False

    async def send(self, text: str) -> None:
        await asyncio.sleep(0)
        if self.is_broken:
            raise NotSent("cut")
        assert len(text.encode()) <= self.max_bytes
        self.sent.append(text)
        for receive in self.receivers:
            receive(text)

    def subscribe(self, receive: Callable[[str], None], reopened: Callable[[], None]) -> None:
        self.receivers.append(receive)


Start = Callable[[str], Awaitable[Words]]


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
async def start(line: Line, clock: FakeClock) -> AsyncIterator[Start]:
    """Starts workers by their names."""
    started: list[Bus] = []

    async def worker(name: str) -> Words:
        bus = Bus(clock, name, line)
        words = Words(bus)
        started.append(bus)
        await bus.start()
        return words

    yield worker
    for bus in started:
        await bus.close()


async def test_alone_it_happens_at_once(clock: FakeClock) -> None:
    """One worker hears itself before `tell` returns, in the order of time."""
    words = Words(Bus(clock, "a", None))
    before = words.bus.position
    await words.bus.start()
    words.say("one")
    words.say("two")

    assert before >= clock.now()
    assert words.heard_words == [(before + 1, "a", "one"), (before + 2, "a", "two")]


async def test_everything_happens_in_one_order(start: Start, clock: FakeClock) -> None:
    """Each thing has the same place at every worker, whoever told it, also at those that came later."""
    one, two = await start("a"), await start("b")
    one.say("hello")
    await clock.advance(PAUSE_S)
    late = await start("c")
    for number in range(20):
        [one, two, late][number % 3].say(f"{number}")
        await clock.advance(PAUSE_S / 3)
    await clock.advance(1)

    assert one.heard_words == two.heard_words
    assert late.heard_words == one.heard_words[1:]
    assert len({*one.texts}) == 21
    places = [place for place, _, _ in one.heard_words]
    assert places == sorted(places)
    assert places[0] >= clock.now() - 10_000
    assert one.bus.position == two.bus.position == late.bus.position


async def test_a_slow_listener_changes_no_order(start: Start, clock: FakeClock) -> None:
    """What waits for something that has to be found out keeps its place."""
    one, two = await start("a"), await start("b")
    two.held = asyncio.Event()
    one.say("first")
    await clock.advance(PAUSE_S)
    one.say("second")
    await clock.advance(PAUSE_S)
    assert two.texts == []
    two.held.set()
    await clock.advance(0)
    assert two.heard_words == one.heard_words


async def test_news_are_gathered(start: Start, line: Line, clock: FakeClock) -> None:
    """The first goes at once; what follows goes together, the newest of each alone, as much as a message holds."""
    one = await start("a")
    await start("b")
    await clock.advance(PAUSE_S)
    sent = len(line.sent)
    one.say("first")
    await clock.advance(0)
    assert len(line.sent) == sent + 1
    for _ in range(3):
        for number in range(10):
            one.say(f"then {number}")
    one.say("repeated", later=True)
    one.say("last")
    await clock.advance(0)
    assert len(line.sent) == sent + 1
    await clock.advance(1)

    assert one.texts == ["first", *(f"then {number}" for number in range(10)), "last", "repeated"]
    assert sent + 2 <= len(line.sent) <= sent + 5


async def test_what_is_too_long_or_too_much_is_dropped(
    start: Start, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest goes on its way."""
    monkeypatch.setattr(module, "KEPT", 5)
    one = await start("a")
    one.say("x" * 500)
    one.say("short")
    for number in range(10):
        one.say(f"{number}")
    await clock.advance(2)

    assert one.texts == ["5", "6", "7", "8", "9"]
    one.say("y" * 500)
    one.say("bad")
    one.say("good")
    await clock.advance(1)
    assert one.texts[5:] == ["good"]


async def test_when_the_others_cannot_be_reached_it_happens_here(
    start: Start, line: Line, clock: FakeClock
) -> None:
    """A broken carrier loses what is told to others, and nothing else."""
    one, two = await start("a"), await start("b")
    line.is_broken = True
    one.say("alone")
    await clock.advance(PAUSE_S)
    assert (one.texts, two.texts) == (["alone"], [])
    line.is_broken = False
    one.say("together")
    await clock.advance(PAUSE_S)
    assert (one.texts, two.texts) == (["alone", "together"], ["together"])
    assert one.heard_words[-1] == two.heard_words[-1]


async def test_who_comes_is_told_what_there_is(start: Start, clock: FakeClock) -> None:
    """The others repeat what is so at them; one of them what is so everywhere."""
    one = await start("a")
    two = await start("b")
    await clock.advance(PAUSE_S)
    three = await start("c")
    await clock.advance(PAUSE_S)

    assert (one.repeated, two.repeated, three.repeated) == ([True, True], [False], [])


async def test_a_silent_worker_is_lost(start: Start, line: Line, clock: FakeClock) -> None:
    """Who says nothing for long is dead to all; one that was not repeats what is so there."""
    one, two, three = await start("a"), await start("b"), await start("c")
    for _ in range(5):
        await clock.advance(BEAT_S)
    assert one.lost_workers == []
    deaf = line.receivers.pop()
    await three.bus.close()
    for _ in range(5):
        await clock.advance(SILENT_S / 4)

    assert {*one.lost_workers} == {*two.lost_workers} == {"c"}
    line.receivers.append(deaf)
    lost_of_one = module._Message("b", clock.now(), [], lost="a")
    one.repeated.clear()
    await line.send(msgspec.json.encode(lost_of_one).decode())
    await clock.advance(0)
    assert one.repeated == [False]


async def test_what_is_not_understood_is_left_out(start: Start, line: Line, clock: FakeClock) -> None:
    """Of other versions, or broken."""
    one = await start("a")
    for text in ("", "nonsense", '["b","x"]', '["b",1,[["words",[7]],["unknown",[]],["words",["fine"]]]]'):
        await line.send(text)
        await clock.advance(0)

    assert one.texts == ["fine"]
