"""Hostile requests to every endpoint: never a server error, never a hang, and the server goes on.

`FUZZ=1000` in the environment draws so many requests for each endpoint, other ones each time.
"""

import asyncio
import os
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings

from chamberlain.config.registration import Registration
from chamberlain.http import registry
from chamberlain.http.endpoint import Auth, Endpoint
from tests.api.registry.conftest import Ground
from tests.support.hostile import Hostile, hostile_requests
from tests.support.postgres import Postgres
from tests.support.server import SECRET, Client, Server, test_config

T = TypeVar("T")

ENDPOINTS = [e for e in registry.load() if e.auth not in (Auth.APPSERVICE, Auth.SIGNED_REQUEST)]
DRAWN = int(os.environ.get("FUZZ", "0"))
ON_SQLITE = 20
ON_POSTGRES = 6


class Arena:
    """A server on a loop of its own, with bystanders who must not notice anything."""

    def __init__(self, folder: pytest.TempPathFactory, database_url: str | None = None) -> None:
        self.loop = asyncio.new_event_loop()
        registration = Registration(enabled=True, guests=True, shared_secret=SECRET)
        config = test_config(folder.mktemp("arena"), database_url, registration=registration)
        self.server = self.run(Server.start(config))
        self.ground = Ground(self.server)
        self.bystanders: list[Client] = []
        self.room = ""

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run to the end, which must come in seconds."""
        return self.loop.run_until_complete(asyncio.wait_for(work, 60))

    def close(self) -> None:
        """Stop the server."""
        self.run(self.server.stop())
        self.loop.close()

    async def try_out(self, endpoint: Endpoint, hostile: Hostile) -> None:
        """Send one request, as whoever may."""
        caller = await self.ground.caller(endpoint)
        await self.ground.ask(caller, endpoint.method, hostile.target, hostile.body)

    async def go_on(self) -> None:
        """Two users who were not attacked talk, and both see it."""
        if not self.bystanders:
            self.bystanders = [await self.server.register("ann"), await self.server.register("ben")]
            self.room = await self.bystanders[0].create_room(preset="public_chat")
            await self.bystanders[1].join(self.room)
            for bystander in self.bystanders:
                await bystander.sync()
        event_id = await self.bystanders[0].say(self.room, "still there?")
        for bystander in self.bystanders:
            seen = (await bystander.sync())["rooms"]["join"][self.room]["timeline"]["events"]
            assert event_id in [event["event_id"] for event in seen]


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    """A server on SQLite."""
    arena = Arena(tmp_path_factory)
    yield arena
    arena.close()


@pytest.fixture(scope="module")
def postgres_arena(tmp_path_factory: pytest.TempPathFactory, postgres: Postgres) -> Iterator[Arena]:
    """A server on PostgreSQL, which refuses more than SQLite does."""
    arena = Arena(tmp_path_factory, postgres.new_database())
    yield arena
    arena.close()


def attack(arena: Arena, endpoint: Endpoint, count: int) -> None:
    """Send `count` hostile requests, then see that the server goes on."""
    names = arena.run(arena.ground.names())

    @settings(
        max_examples=DRAWN or count,
        derandomize=not DRAWN,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(hostile_requests(endpoint, names))
    def send(hostile: Hostile) -> None:
        arena.run(arena.try_out(endpoint, hostile))

    send()
    arena.run(arena.go_on())


def named(endpoint: Endpoint) -> str:
    """How a test of an endpoint is called."""
    return f"{endpoint.method} {endpoint.path}"


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=named)
def test_hostile_requests(arena: Arena, endpoint: Endpoint) -> None:
    """Wrong types, huge numbers, deep nesting, surrogates, NULs, names of everything in every place."""
    attack(arena, endpoint, ON_SQLITE)


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=named)
def test_hostile_requests_on_postgresql(postgres_arena: Arena, endpoint: Endpoint) -> None:
    """The same with the stricter database."""
    attack(postgres_arena, endpoint, ON_POSTGRES)
