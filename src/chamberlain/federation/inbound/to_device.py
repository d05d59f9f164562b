"""Messages of other servers' users to devices (server-server API, Send-to-device messaging)."""

from collections.abc import Sequence
from typing import Final

import msgspec

from chamberlain.devices.to_device import Received, ToDevice
from chamberlain.federation.inbound.edus import MAX_EDU_BYTES, decode, is_user_of
from chamberlain.matrix.ids import MAX_ID_BYTES

MAX_MESSAGE_BYTES: Final = 65_536
"""Larger contents for a device are dropped."""
MAX_MESSAGES: Final = 5_000
"""So many devices one EDU may write to; further ones are dropped."""


class _Content(msgspec.Struct):
    sender: str
    type: str
    message_id: str
    messages: dict[str, dict[str, msgspec.Raw]]


class IncomingToDevice:
    """Takes m.direct_to_device."""

    def __init__(self, to_device: ToDevice) -> None:
        self._to_device = to_device

    async def handle(self, origin: str, contents: Sequence[msgspec.Raw]) -> None:
        """The messages wait for their devices, each of them once however often it is sent."""
        received = [
            Received(content.sender, content.type, content.message_id, _usable(content))
            for content in decode(contents, _Content, MAX_EDU_BYTES)
            if is_user_of(origin, content.sender)
            and len(content.message_id) <= MAX_ID_BYTES
            and len(content.type) <= MAX_ID_BYTES
        ]
        if received:
            await self._to_device.receive(origin, received)


def _usable(content: _Content) -> dict[str, dict[str, msgspec.Raw]]:
    messages: dict[str, dict[str, msgspec.Raw]] = {}
    left = MAX_MESSAGES
    for user_id, devices in content.messages.items():
        for device_id, message in devices.items():
            raw = bytes(message)
            if left and raw.startswith(b"{") and len(raw) <= MAX_MESSAGE_BYTES:
                messages.setdefault(user_id, {})[device_id] = message
                left -= 1
    return messages
