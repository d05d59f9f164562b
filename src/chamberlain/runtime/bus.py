"""What workers tell one another and nobody writes down: who types, who is there. All of it in one order.

What a worker tells it hears itself, as the others do, and only then does it happen. So everything happens in the same
order everywhere, and a place in that order, which clients carry from worker to worker, means the same to all. A single
worker hears itself at once.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import msgspec

from chamberlain.runtime.clock import Clock
from chamberlain.runtime.log import get_logger
from chamberlain.runtime.tasks import Tasks

PAUSE_S: Final = 0.05
"""Between two messages of a worker: what is told meanwhile goes together."""
BEAT_S: Final = 20.0
"""A worker that has nothing to tell says so often that it lives."""
SILENT_S: Final = 65.0
"""One that is not heard of for so long is taken for dead."""
START_S: Final = 5.0
"""So long a worker that starts waits to hear itself."""
KEPT: Final = 20_000
"""So much waits to be told; the oldest goes."""
HEARD_KEPT: Final = 10_000
"""So many messages wait to be worked off."""
_ROUND_BYTES: Final = 128
"""What a message takes beside its news."""

_log = get_logger("bus")


class NotSent(Exception):
    """A carrier has lost a message."""


class Carrier(Protocol):
    """Brings texts to every worker, the sender among them, and all texts to all of them in the same order.

    What it loses is lost. After a break, of which `reopened` tells, some may be.
    """

    max_bytes: int
    """Of one text."""

    async def send(self, text: str) -> None:
        """Send it; raises NotSent."""
        ...

    def subscribe(self, receive: Callable[[str], None], reopened: Callable[[], None]) -> None:
        """Call `receive` with each text that comes."""
        ...


class _Message(msgspec.Struct, frozen=True, array_like=True):
    """`at`: the place that the sender proposes. `lost`: a worker that is dead. `asks`: to be told what there is."""

    worker: str
    at: int
    news: list[tuple[str, msgspec.Raw]] = []
    lost: str = ""
    asks: bool = False


_decode = msgspec.json.Decoder(_Message).decode


class Topic(Protocol):
    """Who hears of one sort of news."""

    kind: Any
    """The type of its news."""

    async def prepare(self, news: Any) -> None:
        """Find out what will be needed when this is heard. Only called where there are several workers."""
        ...

    def heard(self, worker: str, news: Any) -> None:
        """It happens now, at `Bus.position`; `worker` has told it."""
        ...

    def lost(self, worker: str) -> None:
        """A worker is dead."""
        ...

    def repeat(self, *, all_of_it: bool) -> None:
        """Tell once more what is so at this worker; what is so everywhere too, if `all_of_it`."""
        ...


class Bus:
    """This worker's end of it. `position`: the place of what was heard last; it grows with the time (ms)."""

    def __init__(self, clock: Clock, name: str, carrier: Carrier | None) -> None:
        """`name`: unlike that of any worker there ever was; without a carrier this is the only one."""
        self._clock = clock
        self._carrier = carrier
        self._topics: dict[str, tuple[Topic, msgspec.json.Decoder[Any]]] = {}
        self._tasks = Tasks()
        self._waiting: dict[tuple[str, str], bytes] = {}
        self._repeated: dict[tuple[str, str], bytes] = {}
        """The same, with time."""
        self._due = asyncio.Event()
        self._messages: deque[_Message] = deque()
        self._is_working = False
        self._is_closed = False
        self._others: dict[str, float] = {}
        """When each of the other workers was heard last."""
        self._has_heard_itself = asyncio.Event()
        self.name = name
        # It is never behind what was given out before a restart: others know it, or the time is later by now.
        self.position: int = clock.now() if carrier is None else 0
        if carrier is not None:
            carrier.subscribe(self._received, self._ask)

    @property
    def is_shared(self) -> bool:
        """Whether there may be other workers."""
        return self._carrier is not None

    def subscribe(self, name: str, topic: Topic) -> None:
        """Have the topic hear what is told by this name."""
        self._topics[name] = topic, msgspec.json.Decoder(topic.kind)

    async def start(self) -> None:
        """Join the others; this worker knows of the common order when this returns, unless nobody can be reached."""
        if self._carrier is None:
            return
        self._tasks.spawn("tell other workers", self._send_forever())
        self._tasks.spawn("listen for other workers", self._beat_forever(self._carrier))
        self._ask()
        try:
            async with asyncio.timeout(START_S):
                await self._has_heard_itself.wait()
        except TimeoutError:
            _log.warning("other workers may not be reached")

    async def close(self) -> None:
        """Tell and hear nothing more."""
        self._is_closed = True
        await self._tasks.close()

    # ---------------------------------------------------------------------------------------------- telling

    def tell(self, topic: str, key: str, news: msgspec.Struct, *, later: bool = False) -> None:
        """Have it heard everywhere, here too; what has the same key and was not sent yet is replaced.

        `later`: after everything that is not.
        """
        if self._carrier is None:
            self.position += 1
            self._hear(topic, self.name, news)
            return
        waiting = self._repeated if later else self._waiting
        waiting.pop((topic, key), None)
        waiting[topic, key] = msgspec.json.encode(news)
        if len(waiting) > KEPT:
            del waiting[next(iter(waiting))]
        self._due.set()

    def _ask(self) -> None:
        """What the others know is to be told to this worker, which has just come or may have missed something."""
        if self._carrier is not None and not self._is_closed:
            self._tasks.spawn("ask other workers", self._send(self._carrier, asks=True))

    async def _send_forever(self) -> None:
        assert self._carrier is not None
        while True:
            await self._due.wait()
            news = self._next(self._carrier.max_bytes)
            if not self._waiting and not self._repeated:
                self._due.clear()
            await self._send(self._carrier, news)
            await self._clock.sleep(PAUSE_S)

    def _next(self, max_bytes: int) -> list[tuple[str, msgspec.Raw]]:
        """Take as much as one message holds."""
        taken: list[tuple[str, msgspec.Raw]] = []
        left = max_bytes - _ROUND_BYTES
        for waiting in (self._waiting, self._repeated):
            while waiting:
                topic, key = next(iter(waiting))
                news = waiting[topic, key]
                size = len(news) + len(topic) + 6
                if size > left and taken:
                    return taken
                del waiting[topic, key]
                if size > left:
                    _log.warning("too long to be told", topic=topic, bytes=size)
                    continue
                left -= size
                taken.append((topic, msgspec.Raw(news)))
        return taken

    async def _send(
        self,
        carrier: Carrier,
        news: Sequence[tuple[str, msgspec.Raw]] = (),
        *,
        lost: str = "",
        asks: bool = False,
    ) -> None:
        at = max(self._clock.now(), self.position + 1)
        message = _Message(self.name, at, list(news), lost, asks)
        try:
            await carrier.send(msgspec.json.encode(message).decode())
        except NotSent as error:
            _log.warning("other workers were not told", error=str(error))
            # At least those who are served here hear of it.
            self._take(message)

    async def _beat_forever(self, carrier: Carrier) -> None:
        """Show that this worker lives, and see whether the others do."""
        while True:
            before = self._clock.monotonic()
            await self._clock.sleep(BEAT_S)
            await self._send(carrier)
            now = self._clock.monotonic()
            if now - before > 2 * BEAT_S:
                # It was this worker that did not listen.
                continue
            for worker in [worker for worker, heard in self._others.items() if now - heard > SILENT_S]:
                await self._send(carrier, lost=worker)

    # ---------------------------------------------------------------------------------------------- hearing

    def _received(self, text: str) -> None:
        try:
            self._take(_decode(text))
        except msgspec.MsgspecError as error:
            _log.warning("another worker speaks differently", error=str(error))

    def _take(self, message: _Message) -> None:
        if self._is_closed:
            return
        self._messages.append(message)
        if len(self._messages) > HEARD_KEPT:
            self._messages.popleft()
        if not self._is_working:
            self._is_working = True
            self._tasks.spawn("hear other workers", self._work_off())

    async def _work_off(self) -> None:
        """One message after the other, so that what happens here does so in the order of all."""
        try:
            while self._messages:
                await self._work_on(self._messages.popleft())
        finally:
            self._is_working = False

    async def _work_on(self, message: _Message) -> None:
        news = await self._prepared(message)
        self.position = max(self.position + 1, message.at)
        if message.worker == self.name:
            self._has_heard_itself.set()
        else:
            self._others[message.worker] = self._clock.monotonic()
        for name, item in news:
            self._hear(name, message.worker, item)
        if message.lost:
            self._lose(message.lost)
        if message.asks and message.worker != self.name:
            await self._answer(message.worker)

    async def _prepared(self, message: _Message) -> list[tuple[str, Any]]:
        prepared: list[tuple[str, Any]] = []
        for name, raw in message.news:
            if name not in self._topics:
                continue
            topic, decoder = self._topics[name]
            try:
                item = decoder.decode(raw)
                await topic.prepare(item)
            except Exception as error:
                _log.warning("what another worker told was not understood", topic=name, error=repr(error))
            else:
                prepared.append((name, item))
        return prepared

    def _hear(self, name: str, worker: str, news: Any) -> None:
        try:
            self._topics[name][0].heard(worker, news)
        except Exception:
            if self._carrier is None:
                raise
            _log.exception("what a worker told had no effect", topic=name)

    async def _answer(self, asker: str) -> None:
        """Let one that has just come know of this worker, and of what is so here."""
        assert self._carrier is not None
        await self._send(self._carrier)
        leads = self.name == min({self.name, *self._others} - {asker})
        for topic, _ in self._topics.values():
            topic.repeat(all_of_it=leads)

    def _lose(self, worker: str) -> None:
        self._others.pop(worker, None)
        for topic, _ in self._topics.values():
            topic.lost(worker)
            if worker == self.name:
                # The others think so. They are to know again what they have forgotten.
                topic.repeat(all_of_it=False)
