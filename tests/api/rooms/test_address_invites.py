"""Inviting whoever has an address, with an identity server on this machine that knows whose some are."""

import ssl
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from chamberlain.config.outbound import Outbound
from tests.support.authority import Authority
from tests.support.remote import serve
from tests.support.server import Client, Server, test_config

KEY = {
    "public_key": "ta8IQ0u1sp44HVpxYi7dFOdS/bfwDjcy4xLFlfY5KOA",
    "key_validity_url": "https://id.test/valid",
}
INVITE = "m.room.third_party_invite"


class IdentityServer:
    """Knows users by their addresses. `broken`: what it says instead; `calls`: what it was asked, and the bodies."""

    def __init__(self) -> None:
        self.users: dict[str, str] = {}
        self.algorithms = ["none", "sha256"]
        self.stored: dict[str, Any] = {"token": "atoken", "public_keys": [KEY], "display_name": "b...@e..."}
        self.broken: web.Response | None = None
        self.calls: list[tuple[str, Any]] = []
        self.name = ""

    async def answer(self, request: web.Request) -> web.Response:
        """As the Identity Service API says."""
        call = request.path.removeprefix("/_matrix/identity/v2/")
        body = await request.json() if request.method == "POST" else None
        self.calls.append((call, body))
        assert request.headers["Authorization"] == "Bearer the token"
        if self.broken is not None:
            return self.broken
        if call == "hash_details":
            return web.json_response({"lookup_pepper": "salt", "algorithms": self.algorithms})
        if call == "lookup":
            assert (body["pepper"], body["algorithm"]) == ("salt", self.algorithms[-1])
            known = {self._shown(address): user for address, user in self.users.items()}
            found = {name: known[name] for name in body["addresses"] if name in known}
            return web.json_response({"mappings": found})
        assert call == "store-invite"
        return web.json_response(self.stored)

    def _shown(self, address: str) -> str:
        if self.algorithms[-1] == "none":
            return f"{address} email"
        digest = sha256(f"{address} email salt".encode()).digest()
        return urlsafe_b64encode(digest).rstrip(b"=").decode()

    def by(self, address: str, **other: str) -> dict[str, str]:
        """The body of an invitation of this address."""
        told = {"id_server": self.name, "id_access_token": "the token", "medium": "email", "address": address}
        return told | other


@pytest.fixture
async def identity(tmp_path: Path) -> AsyncIterator[IdentityServer]:
    """The identity server."""
    made = IdentityServer()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*Authority(tmp_path).vouch("127.0.0.1"))
    async with serve(made.answer, context) as port:
        made.name = f"127.0.0.1:{port}"
        yield made


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    """A server that may call this machine, and looks at no certificates."""
    outbound = Outbound(allowed_addresses=("127.0.0.1/32",), verify_certificates=False)
    running = await Server.start(test_config(tmp_path, outbound=outbound))
    yield running
    await running.stop()


async def third_party_invites(client: Client, room: str) -> list[dict[str, Any]]:
    """Those that wait in the room."""
    state = (await client.get(f"rooms/{room}/state")).ok()
    return [event for event in state if event["type"] == INVITE]


@pytest.mark.parametrize("algorithms", [["none", "sha256"], ["none"]])
async def test_a_user_is_invited_by_their_address(
    alice: Client, bob: Client, identity: IdentityServer, algorithms: list[str]
) -> None:
    """The identity server hears a hash of it where it takes one, and nothing else."""
    identity.algorithms = algorithms
    identity.users["bob@example.org"] = bob.user_id
    room = await alice.create_room()
    (await alice.post(f"rooms/{room}/invite", identity.by("Bob@example.org", reason="come"))).ok()

    member = (await alice.state(room, "m.room.member", bob.user_id)).ok()
    assert (member["membership"], member["reason"]) == ("invite", "come")
    assert [call for call, _ in identity.calls] == ["hash_details", "lookup"]
    assert await third_party_invites(alice, room) == []
    await bob.join(room)


async def test_an_address_of_nobody_yet_is_kept(alice: Client, identity: IdentityServer) -> None:
    """The identity server hears what it may tell of the room, and the room has what proves the invitation."""
    room = await alice.create_room(name="Garden", preset="public_chat")
    (await alice.post(f"rooms/{room}/invite", identity.by("bob@example.org"))).ok()

    call, told = identity.calls[-1]
    assert call == "store-invite"
    assert told == {
        "medium": "email",
        "address": "bob@example.org",
        "room_id": room,
        "sender": alice.user_id,
        "sender_display_name": "alice",
        "room_name": "Garden",
        "room_join_rules": "public",
    }
    (waiting,) = await third_party_invites(alice, room)
    assert (waiting["state_key"], waiting["sender"]) == ("atoken", alice.user_id)
    assert waiting["content"] == {"display_name": "b...@e...", "public_keys": [KEY], **KEY}


async def test_a_room_begins_with_invitations_by_address(
    alice: Client, bob: Client, identity: IdentityServer
) -> None:
    """Of those who are known and of those who are not; one that fails does not spoil the room."""
    identity.users["bob@example.org"] = bob.user_id
    addresses = [
        identity.by("bob@example.org"),
        identity.by("carol@example.org"),
        identity.by("dave@example.org", id_server="no name"),
    ]
    room = await alice.create_room(invite_3pid=addresses, is_direct=True)

    member = (await alice.state(room, "m.room.member", bob.user_id)).ok()
    assert (member["membership"], member["is_direct"]) == ("invite", True)
    assert len(await third_party_invites(alice, room)) == 1
    many = await alice.post("createRoom", {"invite_3pid": addresses * 7})
    many.error(400, "M_INVALID_PARAM")


async def test_nothing_is_told_of_who_cannot_be_invited(
    alice: Client, bob: Client, identity: IdentityServer
) -> None:
    """Neither by strangers nor by members without the power; nor where the address is not whole."""
    room = await alice.create_room(preset="public_chat", power_level_content_override={"invite": 50})
    target, address = f"rooms/{room}/invite", identity.by("carol@example.org")
    (await bob.post(target, address)).error(403, "M_FORBIDDEN")
    await bob.join(room)
    (await bob.post(target, address)).error(403, "M_FORBIDDEN")
    (await alice.post("rooms/!nowhere:example.org/invite", address)).error(404, "M_NOT_FOUND")
    (await alice.post(target, {**address, "id_access_token": None})).error(400, "M_MISSING_PARAM")
    (await alice.post(target, {**address, "id_server": "a/path"})).error(400, "M_INVALID_PARAM")
    assert identity.calls == []


@pytest.mark.parametrize(
    ("answer", "status", "errcode"),
    [
        (web.json_response({"errcode": "M_UNAUTHORIZED"}, status=401), 403, "M_FORBIDDEN"),
        (web.Response(text="no way", status=404), 403, "M_FORBIDDEN"),
        (web.Response(text="out of order", status=500), 502, "M_UNKNOWN"),
        (web.json_response(["odd"]), 502, "M_UNKNOWN"),
        (web.Response(body=b"\xff{"), 502, "M_UNKNOWN"),
    ],
)
async def test_an_identity_server_that_does_not_do(
    alice: Client, identity: IdentityServer, answer: web.Response, status: int, errcode: str
) -> None:
    """Nobody is invited, and the client is not taken to be logged out."""
    identity.broken = answer
    room = await alice.create_room()
    (await alice.post(f"rooms/{room}/invite", identity.by("bob@example.org"))).error(status, errcode)
    assert await third_party_invites(alice, room) == []


@pytest.mark.parametrize("change", [{"token": "a/b"}, {"public_keys": []}, {"display_name": "x" * 300}])
async def test_an_invitation_that_is_none(
    alice: Client, identity: IdentityServer, change: dict[str, Any]
) -> None:
    """What the identity server made of it does not get into the room."""
    identity.stored |= change
    room = await alice.create_room()
    (await alice.post(f"rooms/{room}/invite", identity.by("bob@example.org"))).error(502, "M_UNKNOWN")
    assert await third_party_invites(alice, room) == []


async def test_closed_networks_are_not_called(tmp_path: Path, identity: IdentityServer) -> None:
    """An identity server inside of the network is none, whoever names it."""
    server = await Server.start(test_config(tmp_path))
    alice = await server.register("alice")
    room = await alice.create_room()
    (await alice.post(f"rooms/{room}/invite", identity.by("bob@example.org"))).error(502, "M_UNKNOWN")
    assert identity.calls == []
    await server.stop()
