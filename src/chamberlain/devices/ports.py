"""What devices ask of other servers without knowing how they are reached."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from chamberlain.matrix.types import JsonObject

Wishes = Mapping[str, Sequence[str]]
"""Device ids by user; none stands for all."""
ClaimWishes = Mapping[str, Mapping[str, str]]
"""Algorithms by user and device."""


class TheirDevices(msgspec.Struct, frozen=True):
    """What a server says of one of its users; nothing of it has been checked but its shape."""

    stream_id: int
    devices: Sequence[tuple[str, JsonObject, str | None]]
    """Device id, keys, display name."""
    master: JsonObject | None = None
    self_signing: JsonObject | None = None


class TheirKeys(msgspec.Struct, frozen=True):
    """What a server says of several of its users, by user (and device)."""

    device_keys: Mapping[str, Mapping[str, JsonObject]] = {}
    master_keys: Mapping[str, JsonObject] = {}
    self_signing_keys: Mapping[str, JsonObject] = {}


ClaimedKeys = Mapping[str, Mapping[str, Mapping[str, msgspec.Raw]]]
"""A key by user, device and `<algorithm>:<key id>`."""


class KeyServers(Protocol):
    """The other servers. Each call raises RemoteError when it fails; `timeout` in seconds."""

    async def devices_of(self, user_id: str, timeout: float) -> TheirDevices:
        """Ask a user's server for all devices of the user."""
        ...

    async def query(self, server: str, wishes: Wishes, timeout: float) -> TheirKeys:
        """Ask a server for keys of its users."""
        ...

    async def claim(self, server: str, wishes: ClaimWishes, timeout: float) -> ClaimedKeys:
        """Claim one-time keys of a server's users."""
        ...
