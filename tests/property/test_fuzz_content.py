"""Hostile content that is kept: whoever reads it later gets an answer, and never a server error.

`FUZZ=1000` in the environment tells so many stories on each database.
"""

import os
import random
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import pytest
import pytest_asyncio

from chamberlain.http import registry
from chamberlain.http.endpoint import Auth
from tests.api.registry.conftest import Ground
from tests.support.mischief import Names, Wanted, requests, room_options, spoil
from tests.support.postgres import Postgres
from tests.support.server import Client, Server, test_config

pytestmark = pytest.mark.asyncio(loop_scope="module")

READING = [
    e
    for e in registry.load()
    if e.method == "GET" and e.auth not in (Auth.APPSERVICE, Auth.SIGNED_REQUEST) and "evacuate" not in e.path
]
"""What reads; emptying a room, which may be asked for by GET, comes at the end of the story."""
MORE = int(os.environ.get("FUZZ", "0"))
SEEDS = range(1000, 1000 + MORE) if MORE else range(16)
SEEDS_ON_POSTGRES = range(2000, 2000 + MORE) if MORE else range(100, 106)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ground(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Ground]:
    """A server on SQLite."""
    server = await Server.start(test_config(tmp_path_factory.mktemp("ground")))
    yield Ground(server)
    await server.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def postgres_ground(
    tmp_path_factory: pytest.TempPathFactory, postgres: Postgres
) -> AsyncIterator[Ground]:
    """A server on PostgreSQL."""
    folder: Path = tmp_path_factory.mktemp("ground")
    server = await Server.start(test_config(folder, postgres.new_database()))
    yield Ground(server)
    await server.stop()


async def story(ground: Ground, seed: int) -> None:
    """A user leaves spoiled things in a room; others read all of it, come in and go on."""
    rnd = random.Random(seed)
    user = await ground.server.register(f"mallory{seed}")
    other = await ground.server.register(f"other{seed}")
    newcomer = await ground.server.register(f"newcomer{seed}")
    room = await make_room(ground, user, other, seed, rnd)
    event = await user.say(room, "hello")
    names = Names(room, event, user.user_id, user.device_id, other.user_id, f"#a{seed}:example.org")
    await user.put(f"directory/room/{quote(names.alias)}", {"room_id": room})
    for wanted in requests(names, rnd):
        await ask(ground, user, wanted, rnd)
    await read(ground, user, other, newcomer, names)
    calm = await newcomer.create_room()
    said = await newcomer.say(calm, "all is well")
    seen = (await newcomer.sync())["rooms"]["join"][calm]["timeline"]["events"]
    assert said in [event["event_id"] for event in seen]


async def make_room(ground: Ground, user: Client, other: Client, seed: int, rnd: random.Random) -> str:
    """A room that is as spoiled as the server takes it, in any version."""
    names = Names("!x:example.org", "$x", user.user_id, user.device_id, other.user_id, "#x:example.org")
    for _ in range(3):
        options = spoil(room_options(names), rnd) | {"room_version": str(1 + seed % 12)}
        made = await ground.ask(user, "POST", "createRoom", options)
        if made.status == 200 and (await user.put(f"rooms/{made.json['room_id']}/send/x/1")).status == 200:
            return str(made.json["room_id"])
    return await user.create_room(preset="public_chat", room_version=str(1 + seed % 12))


async def ask(ground: Ground, user: Client, wanted: Wanted, rnd: random.Random) -> None:
    """Send a request, most often spoiled."""
    body = spoil(wanted.body, rnd) if rnd.random() < 0.8 else wanted.body
    path, _, query = wanted.target.partition("?")
    target = quote(path, safe="/") + (f"?{query}" if query else "")
    await ground.ask(user, wanted.method, target, body)


async def read(ground: Ground, user: Client, other: Client, newcomer: Client, names: Names) -> None:
    """Look at everything from inside, from outside and from above, and come in."""
    room = quote(names.room)
    admin = await ground.admin()
    holes = {
        "room_id": names.room,
        "room_id_or_alias": names.room,
        "event_id": names.event,
        "user_id": user.user_id,
    }
    for client in (newcomer, other):
        await ground.ask(user, "POST", f"rooms/{room}/invite", {"user_id": client.user_id})
        await ground.ask(client, "GET", "sync")
        await ground.ask(client, "POST", f"rooms/{room}/join", {})
    await ground.ask(
        other, "PUT", f"rooms/{room}/send/m.room.message/1", {"msgtype": "m.text", "body": "hello"}
    )
    for endpoint in READING:
        for client in (admin,) if endpoint.auth is Auth.ADMIN else (user, newcomer):
            await ground.send(await ground.parts(endpoint, holes | {"device_id": user.device_id}), client)
    for client in (user, other, newcomer):
        for query in (
            "",
            "full_state=true",
            "filter=" + quote('{"room":{"state":{"lazy_load_members":true}}}'),
            "filter=0",
        ):
            await ground.ask(client, "GET", f"sync?{query}")
        await ground.ask(client, "GET", f"rooms/{room}/messages?dir=b&limit=100")
        await ground.ask(client, "POST", "keys/query", {"device_keys": {user.user_id: []}})
        await ground.ask(
            client,
            "POST",
            "keys/claim",
            {"one_time_keys": {user.user_id: {user.device_id: "signed_curve25519"}}},
        )
        await ground.ask(client, "POST", "user_directory/search", {"search_term": "a"})
        await ground.ask(client, "POST", "publicRooms", {})
    await ground.ask(user, "POST", f"rooms/{room}/upgrade", {"new_version": "12"})
    await ground.ask(admin, "POST", f"/_dendrite/admin/evacuateRoom/{room}")
    await ground.ask(admin, "POST", f"/_synapse/admin/v1/deactivate/{quote(user.user_id)}", {"erase": True})
    await ground.ask(newcomer, "GET", f"rooms/{room}/messages?dir=b&limit=100")


@pytest.mark.parametrize("seed", SEEDS)
async def test_hostile_content(ground: Ground, seed: int) -> None:
    """State, messages, account data, rules, profiles, keys with wrong parts, read by everyone."""
    await story(ground, seed)


@pytest.mark.parametrize("seed", SEEDS_ON_POSTGRES)
async def test_hostile_content_on_postgresql(postgres_ground: Ground, seed: int) -> None:
    """The same with the stricter database."""
    await story(postgres_ground, seed)
