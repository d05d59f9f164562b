"""Keys and signatures as clients make them."""

from typing import Any

from chamberlain.matrix.signing import SigningKey, sign_json
from tests.support.server import Client

Json = dict[str, Any]


class Identity:
    """The signing keys of one user: of a device, and for cross-signing."""

    def __init__(self, user: Client, seed: int = 1) -> None:
        self.user = user
        self._seed = seed
        self.master = self._public(0)
        self.self_signing = self._public(1)
        self.user_signing = self._public(2)
        self.device = self._public(3)

    def _key(self, number: int, version: str) -> SigningKey:
        return SigningKey(bytes([self._seed, number]) * 16, version)

    def _public(self, number: int) -> str:
        return self._key(number, "x").verify_key().to_base64()

    def sign(self, value: Json, number: int, key_name: str) -> Json:
        """A copy of an object with a signature by `ed25519:<key_name>`."""
        signed = sign_json(value, self.user.user_id, self._key(number, "x"))
        signatures = signed["signatures"][self.user.user_id]
        signatures[f"ed25519:{key_name}"] = signatures.pop("ed25519:x")
        return signed

    def by_master(self, value: Json) -> Json:
        """Signed by the master key."""
        return self.sign(value, 0, self.master)

    def by_self_signing(self, value: Json) -> Json:
        """Signed by the self-signing key."""
        return self.sign(value, 1, self.self_signing)

    def by_user_signing(self, value: Json) -> Json:
        """Signed by the user-signing key."""
        return self.sign(value, 2, self.user_signing)

    def by_device(self, value: Json) -> Json:
        """Signed by the device."""
        return self.sign(value, 3, self.user.device_id)

    def device_keys(self, **more: Any) -> Json:
        """The keys of the device."""
        device_id = self.user.device_id
        keys = {f"curve25519:{device_id}": "curve", f"ed25519:{device_id}": self.device}
        value = {"user_id": self.user.user_id, "device_id": device_id, "algorithms": ["a"], "keys": keys}
        return self.by_device(value | more)

    def key(self, usage: str, public: str) -> Json:
        """A cross-signing key without a signature."""
        return {"user_id": self.user.user_id, "usage": [usage], "keys": {f"ed25519:{public}": public}}

    def cross_signing(self) -> Json:
        """The body that uploads all cross-signing keys."""
        return {
            "master_key": self.key("master", self.master),
            "self_signing_key": self.by_master(self.key("self_signing", self.self_signing)),
            "user_signing_key": self.by_master(self.key("user_signing", self.user_signing)),
        }


def one_time(*ids: str, of: str = "k", **more: Any) -> Json:
    """One-time keys."""
    return {
        f"signed_curve25519:{key_id}": {"key": f"{of}{key_id}", "signatures": {}, **more} for key_id in ids
    }


async def devices_of(asker: Client, user: Client) -> Json:
    """What `/keys/query` shows of a user's devices."""
    answer = (await asker.post("keys/query", {"device_keys": {user.user_id: []}})).ok()
    found: Json = answer["device_keys"][user.user_id]
    return found
