"""A server that is killed while it deletes a room that another server is in."""

import asyncio
from typing import Any

import aiohttp
import pytest

from tests.e2e.test_federation_kill import Pair, authority, pair, people, restart, session
from tests.support.neighbors import PATIENCE, Neighbor, Person, join_path, shared_room
from tests.support.server import Client, path

__all__ = ["authority", "pair", "session"]

pytestmark = pytest.mark.asyncio(loop_scope="module")

DELAYS = (0.0, 0.03, 0.1, 0.3)
"""Seconds from the answer to the kill: about as long as it takes altogether."""
MESSAGES = 60


async def filled_room(ada: Person, ben: Person) -> str:
    """A room with both, in which something was said."""
    room = await shared_room(ada, ben)
    await asyncio.gather(*(ada.say(room, f"message {number}") for number in range(MESSAGES)))
    return room


async def until_complete(root: Client, delete_id: str) -> Any:
    """The deletion, when it is at its end."""
    target = f"/_synapse/admin/v2/rooms/{path('delete_status', delete_id)}"
    async with asyncio.timeout(PATIENCE):
        while True:
            status = (await root.get(target)).ok()
            if status["status"] not in ("scheduled", "active"):
                return status
            await asyncio.sleep(0.1)


async def test_a_deletion_goes_on_after_a_kill(pair: Pair, session: aiohttp.ClientSession) -> None:
    """Wherever it was: everybody has left once, the other server knows, nothing is left, and one can join again."""
    server = Neighbor(pair.far, session)
    root = await server.admin("root")
    ada, ben = await people(session, pair.far, pair.near)
    for delay in DELAYS:
        room = await filled_room(ada, ben)
        await ada.turn()
        target = f"/_synapse/admin/v2/{path('rooms', room)}"
        delete_id = (await root.delete(target, {})).ok()["delete_id"]
        await asyncio.sleep(delay)
        pair.far.kill()
        await restart(pair.far)
        status = await until_complete(root, delete_id)

        assert (status["status"], status["shutdown_room"]["kicked_users"]) == ("complete", [ada.user_id])
        await ben.sees_member(room, ada, "leave")
        await ada.until(lambda room=room: ada.room(room).membership == "leave")
        assert (await ada.get(path("rooms", room, "state"))).status == 403
        (await root.get(target.replace("/v2/", "/v1/"))).error(404, "M_NOT_FOUND")
        (await ada.post(join_path(room, pair.near.name))).ok()
        await ben.sees_member(room, ada, "join")
        await ada.sees(room, await ben.say(room, "back again"))
