"""Invitations of addresses that turn out to be users of other servers."""

import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from chamberlain.config.outbound import Outbound
from chamberlain.matrix.remote_errors import Refused
from chamberlain.matrix.signing import SigningKey, sign_json
from tests.federation.test_joining import count, join, members
from tests.support.authority import Authority
from tests.support.remote import serve
from tests.support.server import Client, Server, path
from tests.support.wire import Wire

IDENTITY = SigningKey(b"i" * 32, "0")
TOKEN = "abc123"
ON_BIND = "/_matrix/federation/v1/3pid/onbind"


class IdentityServer:
    """Says whether it stands by its key: `answer`; `asked` has the keys that it was asked about."""

    def __init__(self) -> None:
        self.answer: Any = {"valid": True}
        self.asked: list[str] = []
        self.url = ""

    async def is_valid(self, request: web.Request) -> web.Response:
        """As the Identity Service API says."""
        self.asked.append(request.query["public_key"])
        return web.json_response(self.answer)


@pytest.fixture
async def identity(tmp_path: Path) -> AsyncIterator[IdentityServer]:
    """The identity server."""
    made = IdentityServer()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*Authority(tmp_path).vouch("127.0.0.1"))
    async with serve(made.is_valid, context) as port:
        made.url = f"https://127.0.0.1:{port}/isvalid"
        yield made


@pytest.fixture
async def near(wire: Wire, tmp_path: Path) -> Server:
    """The server `near.test`, which may call this machine and looks at no certificates."""
    outbound = Outbound(allowed_addresses=("127.0.0.1/32",), verify_certificates=False)
    return await wire.add("near.test", tmp_path, outbound=outbound)


async def invite_address(host: Client, room_id: str, identity: IdentityServer, **changes: Any) -> None:
    """Invite somebody of whom only an address is known, as an identity server would have it."""
    content = {
        "display_name": "b…@e…",
        "key_validity_url": identity.url,
        "public_key": IDENTITY.verify_key().to_base64(),
    }
    await host.set_state(room_id, "m.room.third_party_invite", content | changes, TOKEN)


def binding(host: Client, user: Client, room: str, **changes: Any) -> dict[str, Any]:
    """What the identity server tells the user's server."""
    signed = sign_json({"mxid": user.user_id, "token": TOKEN}, "identity.test", IDENTITY)
    invite = {
        "medium": "email",
        "address": "bob@example.com",
        "mxid": user.user_id,
        "room_id": room,
        "sender": host.user_id,
        "signed": signed,
    }
    return {
        "medium": "email",
        "address": "bob@example.com",
        "mxid": user.user_id,
        "invites": [invite | changes],
    }


@pytest.mark.parametrize("version", ("1", "11", "12"))
async def test_an_address_that_is_a_user_of_another_server_is_invited(
    alice: Client, bob: Client, identity: IdentityServer, version: str
) -> None:
    """The identity server tells their server, that one ours, and ours invites them; again changes nothing."""
    room_id = await alice.create_room(room_version=version)
    await invite_address(alice, room_id, identity)

    for _ in range(2):
        (await bob.server.anonymous.put(ON_BIND, binding(alice, bob, room_id))).ok()

    assert (await members(alice, room_id))[bob.user_id] == "invite"
    event = (await alice.state(room_id, "m.room.member", bob.user_id)).ok()
    assert event["third_party_invite"]["display_name"] == "b…@e…"
    assert room_id in (await bob.sync())["rooms"]["invite"]
    await join(bob, room_id)
    assert (await members(alice, room_id))[bob.user_id] == "join"


async def test_an_address_that_is_a_user_of_a_server_in_the_room_is_invited_there(
    alice: Client, bob: Client, identity: IdentityServer, wire: Wire
) -> None:
    """Their own server needs nobody for it, and the identity server may use the method that they use."""
    room_id = await alice.create_room()
    await invite_address(alice, room_id, identity)
    dora = await alice.server.register("dora")
    (await dora.server.anonymous.post(ON_BIND, binding(alice, dora, room_id))).ok()
    assert (await members(alice, room_id))[dora.user_id] == "invite"
    assert count(wire, "exchange_third_party_invite") == 0


async def test_what_nobody_signed_invites_nobody(
    alice: Client, bob: Client, identity: IdentityServer
) -> None:
    """Another user's proof, a forged one, a room or an invitation that is not there."""
    room_id = await alice.create_room()
    await invite_address(alice, room_id, identity)
    forged = {"mxid": bob.user_id, "token": TOKEN, "signatures": {"identity.test": {"ed25519:0": "A" * 86}}}
    other = sign_json({"mxid": "@mallory:far.test", "token": TOKEN}, "identity.test", IDENTITY)
    unknown = sign_json({"mxid": bob.user_id, "token": "nothing"}, "identity.test", IDENTITY)
    for changes in (
        {"signed": forged},
        {"signed": other},
        {"signed": unknown},
        {"room_id": "!nothing:near.test"},
        {"room_id": "nothing"},
        {"sender": "@nobody:near.test"},
        {"sender": "@nobody:down.test"},
        {"mxid": "@mallory:far.test"},
    ):
        (await bob.server.anonymous.put(ON_BIND, binding(alice, bob, room_id, **changes))).ok()
    foreign = binding(alice, bob, room_id) | {"mxid": "@x:other.test"}
    (await bob.server.anonymous.put(ON_BIND, foreign)).error(400, "M_INVALID_PARAM")
    assert bob.user_id not in await members(alice, room_id)
    assert "rooms" not in await bob.sync()


@pytest.mark.parametrize("answer", [{"valid": False}, {}, "nothing"])
async def test_a_key_that_does_not_hold_any_more_invites_nobody(
    alice: Client, bob: Client, identity: IdentityServer, answer: Any
) -> None:
    """The identity server is asked at the URL that it gave, with the key that has signed."""
    room_id = await alice.create_room()
    await invite_address(alice, room_id, identity)
    identity.answer = answer
    for user in (bob, await alice.server.register("dora")):
        identity.asked.clear()
        (await user.server.anonymous.put(ON_BIND, binding(alice, user, room_id))).ok()
        assert identity.asked == [IDENTITY.verify_key().to_base64()]
        assert user.user_id not in await members(alice, room_id)
        assert "rooms" not in await user.sync()


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/isvalid", "https://identity.test:1/isvalid", "https://[::1"]
)
async def test_where_nobody_can_be_asked_nobody_is_invited(
    alice: Client, bob: Client, identity: IdentityServer, url: str
) -> None:
    """No connection, no TLS, no URL."""
    room_id = await alice.create_room()
    await invite_address(alice, room_id, identity, key_validity_url=url)
    (await bob.server.anonymous.put(ON_BIND, binding(alice, bob, room_id))).ok()
    assert bob.user_id not in await members(alice, room_id)


async def test_an_exchange_must_be_an_invite_by_an_address(
    alice: Client, bob: Client, identity: IdentityServer
) -> None:
    """Anything else that a server hands in is refused."""
    room_id = await alice.create_room()
    await invite_address(alice, room_id, identity)
    signed = sign_json({"mxid": bob.user_id, "token": TOKEN}, "identity.test", IDENTITY)
    invite = {"membership": "invite", "third_party_invite": {"display_name": "", "signed": signed}}
    good = {
        "type": "m.room.member",
        "room_id": room_id,
        "sender": alice.user_id,
        "state_key": bob.user_id,
        "content": invite,
    }
    client = bob.server.app.services.federation.remotes.client
    target = f"/_matrix/federation/v1/exchange_third_party_invite/{path(room_id)}"
    for changes in (
        {"type": "m.room.name"},
        {"room_id": "!other:near.test"},
        {"sender": 1},
        {"state_key": "bob"},
        {"content": []},
        {"content": {"membership": "join"}},
        {"content": {"membership": "invite"}},
        {"content": invite | {"membership": "join"}},
    ):
        with pytest.raises(Refused) as refused:
            await client.request("near.test", "PUT", target, good | changes)
        assert refused.value.status == 400
    await client.request("near.test", "PUT", target, good)
    assert (await members(alice, room_id))[bob.user_id] == "invite"
