"""What the tests of administration ask again and again."""

from typing import Any
from urllib.parse import quote

from tests.support.server import Client

NATIVE = "/_chamberlain/admin/v1"
SYNAPSE = "/_synapse/admin/v1"
OLD = "/_matrix/client/r0/admin"
DENDRITE = "/_dendrite/admin"


def at(prefix: str, *parts: str) -> str:
    """A path whose parts are percent-encoded."""
    return "/".join([prefix, *(quote(part, safe="") for part in parts)])


async def calls(root: Client, **filters: Any) -> list[dict[str, Any]]:
    """The audit log, without the calls that read it."""
    query = "&".join(f"{key}={quote(str(value))}" for key, value in filters.items())
    answer = (await root.get(f"{NATIVE}/audit?{query}")).ok()
    return [call for call in answer["calls"] if call["operation"] != "audit.list"]


async def member(client: Client, room_id: str, user_id: str) -> Any:
    """The member event's content that a client sees."""
    return (await client.state(room_id, "m.room.member", user_id)).ok()
