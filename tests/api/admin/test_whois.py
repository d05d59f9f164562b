"""Whois: from where an account is used."""

import pytest

from chamberlain.store.connections import Connection, record
from tests.api.admin.asking import NATIVE, OLD, SYNAPSE, at, calls
from tests.support.server import Client, Server

PATHS = (
    OLD,
    "/_matrix/client/v3/admin",
    "/_matrix/client/api/v1/admin",
    "/_matrix/client/unstable/admin",
    SYNAPSE,
)


@pytest.mark.parametrize("prefix", PATHS)
async def test_an_administrator_sees_where_a_user_is(
    server: Server, root: Client, alice: Client, prefix: str
) -> None:
    """Every path tells addresses, clients and times, by device."""
    await alice.request("GET", "account/whoami", headers={"User-Agent": "Test/1.0"})
    phone = await server.login("alice")
    answer = (await root.get(f"{at(prefix, 'whois')}/{alice.user_id}")).ok()
    (connection,) = answer["devices"][alice.device_id]["sessions"][0]["connections"]

    assert answer["user_id"] == alice.user_id
    assert set(answer["devices"]) == {alice.device_id, phone.device_id}
    assert (connection["ip"], connection["user_agent"]) == ("127.0.0.1", "Test/1.0")
    assert abs(connection["last_seen"] - server.app.services.clock.now()) < 60_000


async def test_a_user_sees_their_own_and_no_other(alice: Client, bob: Client) -> None:
    """One's own connections are anybody's to see, others' are not, whether they exist or not."""
    own = (await alice.get(f"admin/whois/{alice.user_id}")).ok()
    assert own["devices"][alice.device_id]["sessions"][0]["connections"][0]["ip"] == "127.0.0.1"

    for other in (bob.user_id, "@nobody:example.org", "@x:elsewhere.org"):
        (await alice.get(f"admin/whois/{other}")).error(403, "M_FORBIDDEN")


async def test_whom_there_is_none_of(root: Client) -> None:
    """Unknown users are 404, others' and malformed ids 400."""
    (await root.get("admin/whois/@nobody:example.org")).error(404, "M_NOT_FOUND")
    (await root.get("admin/whois/@x:elsewhere.org")).error(400, "M_INVALID_PARAM")
    (await root.get("admin/whois/nonsense")).error(400, "M_INVALID_PARAM")


async def test_what_belongs_to_no_device_any_more(server: Server, root: Client, alice: Client) -> None:
    """Connections of devices that are gone stand under the empty device."""
    gone = Connection(alice.user_id, "GONE", "192.0.2.7", "Old/1", 1000)
    await server.app.services.db.write(record, [gone])
    answer = (await root.get(f"{NATIVE}/users/{alice.user_id}/whois")).ok()

    assert answer["devices"][""]["sessions"][0]["connections"] == [
        {"ip": "192.0.2.7", "last_seen": 1000, "user_agent": "Old/1"}
    ]


async def test_reading_is_written_down(root: Client, alice: Client) -> None:
    """The audit log says who looked at whom, once for each time; one's own is nobody's business."""
    await alice.get(f"admin/whois/{alice.user_id}")
    await root.get(f"admin/whois/{alice.user_id}")
    (await root.get("admin/whois/@nobody:example.org")).error(404, "M_NOT_FOUND")
    first, second = await calls(root, operation="users.whois")

    assert (second["fields"]["actor"], second["fields"]["target"]) == (root.user_id, alice.user_id)
    assert (second["outcome"], second["facade"]) == ("ok", "spec")
    assert first["outcome"] == "M_NOT_FOUND"
