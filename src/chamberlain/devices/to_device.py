"""Sending messages to devices (client-server API, Send-to-device messaging)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec
import orjson

from chamberlain.matrix import canonical_json
from chamberlain.matrix.errors import BadJson
from chamberlain.matrix.ids import find_server_of, parse_user_id, server_of
from chamberlain.matrix.types import JsonObject
from chamberlain.runtime.clock import Clock
from chamberlain.runtime.rng import Rng
from chamberlain.store import to_device
from chamberlain.store.database import Database
from chamberlain.store.to_device import Sending

TXN_LIFETIME_MS: Final = 24 * 3_600_000
"""How long a retry of a request is recognized."""
EDU_BYTES: Final = 60_000
MESSAGE_ID_LETTERS: Final = 24
"""Other servers take 32 at most."""
PRUNE_EVERY_S: Final = 3_600.0

Messages = Mapping[str, Mapping[str, msgspec.Raw]]
"""The content for each user and device, or `*` for all devices."""


class Received(msgspec.Struct, frozen=True):
    """What a user of another server sent. Contents that are no objects are not to be in it."""

    sender: str
    event_type: str
    message_id: str
    messages: Messages


class ToDevice:
    """Puts messages into the queues of devices; `/sync` takes them out."""

    def __init__(self, db: Database, clock: Clock, rng: Rng, server_name: str) -> None:
        self._db = db
        self._clock = clock
        self._rng = rng
        self._server_name = server_name

    async def send(
        self, sender: str, txn_scope: str, event_type: str, txn_id: str, messages: Messages
    ) -> None:
        """Send each message once, however often it is asked for with the same scope, type and transaction id.

        Those for users of other servers wait, as durably, to be sent there.

        Raises:
            InvalidParam: a recipient is not a user id.
            BadJson: a content is not an object.
        """
        head = _head(sender, event_type)
        rows: list[tuple[str, str, bytes]] = []
        elsewhere: dict[str, dict[str, Mapping[str, msgspec.Raw]]] = {}
        for user_id, devices in messages.items():
            server = server_of(parse_user_id(user_id))
            if server == self._server_name:
                rows.extend((user_id, device, head + _object(raw) + b"}") for device, raw in devices.items())
            else:
                elsewhere.setdefault(server, {})[user_id] = devices
        edus = [
            (server, edu)
            for server, theirs in elsewhere.items()
            for edu in self._edus(sender, event_type, theirs)
        ]
        sending = Sending(sender, txn_scope, event_type, txn_id, rows, edus)
        await self._db.write(to_device.send, sending, self._clock.now())

    def _edus(self, sender: str, event_type: str, messages: Messages) -> Iterator[bytes]:
        """The EDUs that take messages to one server, each of them not much larger than `EDU_BYTES`."""
        part: dict[str, dict[str, JsonObject]] = {}
        size = 0
        for user_id, devices in messages.items():
            for device_id, raw in devices.items():
                if size and size + len(_object(raw)) > EDU_BYTES:
                    yield self._edu(sender, event_type, part)
                    part, size = {}, 0
                part.setdefault(user_id, {})[device_id] = canonical_json.decode_lenient(bytes(raw))
                size += len(bytes(raw))
        if part:
            yield self._edu(sender, event_type, part)

    def _edu(self, sender: str, event_type: str, messages: JsonObject) -> bytes:
        content = {
            "message_id": self._rng.id(MESSAGE_ID_LETTERS),
            "messages": messages,
            "sender": sender,
            "type": event_type,
        }
        return canonical_json.encode_lenient({"content": content, "edu_type": "m.direct_to_device"})

    async def receive(self, origin: str, received: Sequence[Received]) -> None:
        """Put what another server sent into the queues of this server's devices; what came before is left out."""
        sendings: list[Sending] = []
        for one in received:
            head = _head(one.sender, one.event_type)
            rows = [
                (user_id, device, head + bytes(raw) + b"}")
                for user_id, devices in one.messages.items()
                if find_server_of(user_id) == self._server_name
                for device, raw in devices.items()
            ]
            # Its transactions are those of the server, which no user id can be mistaken for.
            sendings.append(Sending(origin, "", "m.direct_to_device", one.message_id, rows))
        await self._db.write(to_device.send_all, sendings, self._clock.now())

    async def prune_forever(self) -> None:
        """Forget old transaction ids, every hour."""
        while True:
            await self._db.write(to_device.forget_txns, self._clock.now() - TXN_LIFETIME_MS)
            await self._clock.sleep(PRUNE_EVERY_S)


def _head(sender: str, event_type: str) -> bytes:
    """A message up to its content."""
    return orjson.dumps({"type": event_type, "sender": sender})[:-1] + b',"content":'


def _object(raw: msgspec.Raw) -> bytes:
    content = bytes(raw)
    if content[:1] != b"{":
        raise BadJson("The content of a message must be an object")
    return content
