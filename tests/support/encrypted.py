"""Users of matrix-nio with encryption."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from nio import (
    AsyncClient,
    AsyncClientConfig,
    EnableEncryptionBuilder,
    KeysQueryError,
    LoginResponse,
    MegolmEvent,
    RegisterResponse,
    RoomCreateResponse,
    RoomMessageText,
    RoomPreset,
    RoomSendResponse,
    SyncResponse,
)

TURNS = 180
"""So often at most somebody syncs, which takes half a second where nothing is new, until what must come is there."""


class Encrypted:
    """A user with one device, which reads what it is sent."""

    def __init__(self, url: str, user_id: str, folder: Path) -> None:
        self.url = url
        self.user_id = user_id
        self.name = user_id[1:].partition(":")[0]
        self.folder = folder / self.name
        self.folder.mkdir(exist_ok=True)
        self.read: list[tuple[str, str]] = []
        """Sender and body of the messages that could be decrypted."""
        self.unread: list[MegolmEvent] = []
        self.client = self._client()

    def _client(self) -> AsyncClient:
        client = AsyncClient(
            self.url,
            self.user_id,
            store_path=str(self.folder),
            config=AsyncClientConfig(encryption_enabled=True, store_sync_tokens=True),
        )

        async def on_text(room: Any, event: RoomMessageText) -> None:
            assert event.decrypted
            self.read.append((event.sender, event.body))

        async def on_undecrypted(room: Any, event: MegolmEvent) -> None:
            self.unread.append(event)

        client.add_event_callback(on_text, RoomMessageText)
        client.add_event_callback(on_undecrypted, MegolmEvent)
        return client

    async def register(self) -> None:
        """Make the account and the keys of its device."""
        answer = await self.client.register(self.name, f"password of {self.name}")
        assert isinstance(answer, RegisterResponse), answer
        await self.turn()

    async def log_in(self) -> None:
        """Make another device, with keys of its own, of an account that is there."""
        answer = await self.client.login(f"password of {self.name}")
        assert isinstance(answer, LoginResponse), answer
        await self.turn()

    async def restart(self) -> None:
        """Close the client and begin another one with the same device and its stored keys."""
        old = self.client
        await old.close()
        self.client = self._client()
        self.client.restore_login(old.user_id, old.device_id, old.access_token)
        await self.turn()

    async def turn(self) -> None:
        """Sync once and do what encryption asks for."""
        client = self.client
        answer = await client.sync(timeout=500, full_state=not client.rooms)
        assert isinstance(answer, SyncResponse), answer
        if client.should_upload_keys:
            await client.keys_upload()
        if client.should_query_keys:
            assert not isinstance(await client.keys_query(), KeysQueryError)
        if client.should_claim_keys:
            await client.keys_claim(client.get_users_for_key_claiming())
        await client.send_to_device_messages()

    async def turn_until(self, condition: Callable[[], bool], *others: "Encrypted") -> None:
        """Sync, and let the others sync too, until the condition is true."""
        for _ in range(TURNS):
            if condition():
                return
            for person in (self, *others):
                await person.turn()
        raise AssertionError(f"{self.name} waited in vain; could not decrypt {self.unread}")

    async def say(self, room: str, body: str) -> None:
        """Send an encrypted message."""
        answer = await self.client.room_send(
            room, "m.room.message", {"msgtype": "m.text", "body": body}, ignore_unverified_devices=True
        )
        assert isinstance(answer, RoomSendResponse), answer


async def make_encrypted_room(alice: Encrypted, bob: Encrypted, version: str | None = None) -> str:
    """An encrypted room with both in it, each knowing the other's device."""
    made = await alice.client.room_create(
        room_version=version,
        preset=RoomPreset.private_chat,
        invite=[bob.user_id],
        initial_state=[EnableEncryptionBuilder().as_dict()],
    )
    assert isinstance(made, RoomCreateResponse), made
    room = str(made.room_id)
    await bob.turn_until(lambda: room in bob.client.invited_rooms)
    await bob.client.join(room)
    for person, other in ((alice, bob), (bob, alice)):
        await person.turn_until(
            lambda person=person, other=other: (
                other.client.user_id in getattr(person.client.rooms.get(room), "users", {})
                and other.client.device_id in person.client.device_store[other.client.user_id]
            ),
            other,
        )
    assert alice.client.rooms[room].encrypted
    return room
