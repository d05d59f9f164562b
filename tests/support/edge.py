"""The edge alone: an application with handlers of a test, and stand-ins for the ports that it calls."""

import asyncio
from types import SimpleNamespace
from typing import Any

from chamberlain.accounts.requester import Requester
from chamberlain.admin.actor import Actor
from chamberlain.config import Config
from chamberlain.config.rate_limits import RateLimits
from chamberlain.http.asgi import Application
from chamberlain.http.endpoint import endpoints_of
from chamberlain.http.limit import Limits
from chamberlain.matrix.errors import MatrixError, UnknownToken
from chamberlain.matrix.ids import UserID
from tests.support.clock import FakeClock
from tests.support.rng import SeededRng

SERVER_NAME = "example.org"
ALICE = UserID("@alice:example.org")


class KnownTokens:
    """Tokens that a test has given out; those in `slow` are not in the cache."""

    def __init__(self) -> None:
        self.known: dict[str, Requester] = {"alice": Requester(user_id=ALICE)}
        self.slow: set[str] = set()

    def cached(self, token: str) -> Requester | None:
        return None if token in self.slow else self.known.get(token)

    async def identify(self, token: str) -> Requester:
        if token not in self.known:
            raise UnknownToken
        return self.known[token]


class Seen:
    """What was recorded for whois."""

    def __init__(self) -> None:
        self.records: list[tuple[str, str, str]] = []

    def record(self, requester: Requester, ip: str, user_agent: str) -> None:
        self.records.append((requester.user_id, ip, user_agent))


class Refusals:
    """What was told of administration calls that were refused."""

    def __init__(self) -> None:
        self.noted: list[tuple[str, str]] = []

    async def note_refusal(self, endpoint: str, actor: Actor, error: MatrixError) -> None:
        self.noted.append((actor.name, error.code))


class News:
    """What other workers did: as many things as `unheard` says are heard of when somebody asks."""

    def __init__(self) -> None:
        self.position = 0
        self.unheard = 0

    async def catch_up(self) -> None:
        self.position, self.unheard = self.position + self.unheard, 0

    async def has_heard_since(self, position: int) -> bool:
        await self.catch_up()
        return self.position > position


class Edge:
    """An application that serves `handlers`, and what it has told its ports."""

    def __init__(
        self, *handlers: Any, limits: RateLimits | None = None, signatures: Any = None, **config: Any
    ) -> None:
        self.clock = FakeClock()
        self.tokens = KnownTokens()
        self.seen = Seen()
        self.refusals = Refusals()
        self.news = News()
        self.observed: list[tuple[str, int]] = []
        self.services: Any = SimpleNamespace(
            config=Config(server_name=SERVER_NAME, **config),
            clock=self.clock,
            db=self.news,
            limits=Limits(limits or RateLimits(enabled=False), self.clock),
            accounts=SimpleNamespace(tokens=self.tokens, last_seen=self.seen),
            admin=SimpleNamespace(runner=self.refusals),
            shutdown=asyncio.Event(),
        )
        self.app = Application(
            self.services,
            [record for handler in handlers for record in endpoints_of(handler)],
            rng=SeededRng(),
            observe=lambda name, status, _seconds: self.observed.append((name, status)),
            signatures=signatures,
        )
