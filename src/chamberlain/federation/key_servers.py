"""Asking other servers for the keys of their users (server-server API, End-to-End Encryption)."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Final

import msgspec

from chamberlain.devices.ports import ClaimedKeys, ClaimWishes, TheirDevices, TheirKeys, Wishes
from chamberlain.federation.client import FederationClient, decode_answer, federation_path
from chamberlain.matrix.ids import server_of
from chamberlain.matrix.remote_errors import BadAnswer
from chamberlain.matrix.types import JsonObject

MAX_BYTES: Final = 8 * 1024 * 1024
MAX_DEVICES: Final = 1_000
"""A user with more devices than this is not believed."""


class _Device(msgspec.Struct):
    device_id: str
    keys: JsonObject
    device_display_name: str | None = None


class _Devices(msgspec.Struct):
    stream_id: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    devices: list[msgspec.Raw]
    master_key: JsonObject | None = None
    self_signing_key: JsonObject | None = None


class _Keys(msgspec.Struct):
    device_keys: dict[str, dict[str, JsonObject]] = {}
    master_keys: dict[str, JsonObject] = {}
    self_signing_keys: dict[str, JsonObject] = {}


class _Claimed(msgspec.Struct):
    one_time_keys: dict[str, dict[str, dict[str, msgspec.Raw]]] = {}


class KeyServers:
    """The other servers, as far as keys are concerned."""

    def __init__(self, client: FederationClient) -> None:
        self._client = client

    async def devices_of(self, user_id: str, timeout: float) -> TheirDevices:
        """Ask a user's server for all devices of the user."""
        server = server_of(user_id)
        path = federation_path("v1", "user", "devices", user_id)
        body = await self._client.get(server, path, timeout=timeout, max_bytes=MAX_BYTES)
        found = decode_answer(server, body, _Devices)
        if len(found.devices) > MAX_DEVICES:
            raise BadAnswer(server, f"more than {MAX_DEVICES} devices")
        devices = [
            (device.device_id, device.keys, device.device_display_name) for device in _usable(found.devices)
        ]
        return TheirDevices(found.stream_id, devices, found.master_key, found.self_signing_key)

    async def query(self, server: str, wishes: Wishes, timeout: float) -> TheirKeys:
        """Ask a server for keys of its users."""
        wanted = {user_id: list(devices) for user_id, devices in wishes.items()}
        body = await self._post(server, "query", {"device_keys": wanted}, timeout)
        found = decode_answer(server, body, _Keys)
        return TheirKeys(found.device_keys, found.master_keys, found.self_signing_keys)

    async def claim(self, server: str, wishes: ClaimWishes, timeout: float) -> ClaimedKeys:
        """Claim one-time keys of a server's users."""
        wanted = {user_id: dict(devices) for user_id, devices in wishes.items()}
        body = await self._post(server, "claim", {"one_time_keys": wanted}, timeout)
        return decode_answer(server, body, _Claimed).one_time_keys

    async def _post(self, server: str, what: str, body: JsonObject, timeout: float) -> bytes:
        path = federation_path("v1", "user", "keys", what)
        return await self._client.request(server, "POST", path, body, timeout=timeout, max_bytes=MAX_BYTES)


def _usable(devices: Sequence[msgspec.Raw]) -> Iterator[_Device]:
    for device in devices:
        try:
            yield msgspec.json.decode(device, type=_Device)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            continue
