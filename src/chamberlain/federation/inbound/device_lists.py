"""Devices and cross-signing keys of other servers' users (server-server API, Device Management)."""

from collections.abc import Sequence
from typing import Annotated

import msgspec

from chamberlain.devices.remote_lists import RemoteLists
from chamberlain.federation.inbound.edus import decode, is_user_of
from chamberlain.matrix.ids import MAX_ID_BYTES
from chamberlain.matrix.types import JsonObject

StreamId = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class _Update(msgspec.Struct):
    user_id: str
    device_id: str
    stream_id: StreamId
    prev_id: list[StreamId] = []
    deleted: bool | None = None
    keys: JsonObject | None = None
    device_display_name: str | None = None


class _SigningKeys(msgspec.Struct):
    user_id: str
    master_key: JsonObject | None = None
    self_signing_key: JsonObject | None = None


class IncomingDeviceLists:
    """Takes m.device_list_update and m.signing_key_update."""

    def __init__(self, lists: RemoteLists) -> None:
        self._lists = lists

    async def update(self, origin: str, contents: Sequence[msgspec.Raw]) -> None:
        """The server's users have these devices."""
        for content in decode(contents, _Update):
            if is_user_of(origin, content.user_id) and len(content.device_id) <= MAX_ID_BYTES:
                await self._lists.update(
                    content.user_id,
                    content.device_id,
                    content.stream_id,
                    content.prev_id,
                    None if content.deleted else content.keys,
                    content.device_display_name,
                )

    async def set_signing_keys(self, origin: str, contents: Sequence[msgspec.Raw]) -> None:
        """The server's users have these cross-signing keys."""
        for content in decode(contents, _SigningKeys):
            if is_user_of(origin, content.user_id):
                await self._lists.set_signing_keys(
                    content.user_id, content.master_key, content.self_signing_key
                )
