"""Ed25519 signing keys, and signed JSON (appendices, Signing JSON)."""

import base64
import binascii
import re
from typing import Any, Final

from nacl.exceptions import CryptoError
from nacl.signing import SigningKey as _NaclSigningKey
from nacl.signing import VerifyKey as _NaclVerifyKey

from chamberlain.matrix import canonical_json
from chamberlain.matrix.errors import InvalidParam
from chamberlain.matrix.types import JsonObject

ALGORITHM: Final = "ed25519"
_SEED_BYTES: Final = 32
_VERSION: Final = re.compile(r"[a-zA-Z0-9_]+")


def encode_base64(data: bytes) -> str:
    """`data` in unpadded base64."""
    return base64.b64encode(data).rstrip(b"=").decode()


def encode_url_safe_base64(data: bytes) -> str:
    """`data` in unpadded URL-safe base64."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode_base64(text: str) -> bytes:
    """What `text` stands for, with or without padding, in either alphabet.

    Raises:
        InvalidParam: it is not base64.
    """
    plain = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidParam("Not valid base64") from error


class VerifyKey:
    """The public half of a signing key."""

    __slots__ = ("_key", "key_id")

    def __init__(self, public: bytes, key_id: str) -> None:
        try:
            self._key = _NaclVerifyKey(public)
        except (CryptoError, ValueError) as error:
            raise InvalidParam("Not an ed25519 public key") from error
        self.key_id = key_id

    @classmethod
    def from_base64(cls, text: str, key_id: str) -> "VerifyKey":
        """The key that other servers publish as `text`.

        Raises:
            InvalidParam: it is not base64 of 32 bytes.
        """
        return cls(decode_base64(text), key_id)

    def to_base64(self) -> str:
        """The key as it is published."""
        return encode_base64(bytes(self._key))

    def verify(self, message: bytes, signature: str) -> bool:
        """Whether `signature` (base64) is this key's signature of `message`; never raises."""
        try:
            self._key.verify(message, decode_base64(signature))
        except (CryptoError, ValueError, InvalidParam):
            return False
        return True


class SigningKey:
    """An ed25519 key of this server; `key_id` is `ed25519:<version>`."""

    __slots__ = ("_key", "_seed", "key_id", "version")

    def __init__(self, seed: bytes, version: str) -> None:
        if len(seed) != _SEED_BYTES or not _VERSION.fullmatch(version):
            raise InvalidParam("A signing key is 32 bytes and a version of letters, digits and underscores")
        self._seed = seed
        self._key = _NaclSigningKey(seed)
        self.version = version
        self.key_id = f"{ALGORITHM}:{version}"

    def __repr__(self) -> str:
        return f"SigningKey({self.key_id})"

    @classmethod
    def from_text(cls, text: str) -> "SigningKey":
        """The key in the first line of a key file, `ed25519 <version> <seed in base64>`.

        Raises:
            InvalidParam: there is no such line.
        """
        lines = [line.split() for line in text.splitlines() if line.strip()]
        if not lines or len(lines[0]) != 3 or lines[0][0] != ALGORITHM:
            raise InvalidParam("A signing key file holds a line `ed25519 <version> <seed>`")
        return cls(decode_base64(lines[0][2]), lines[0][1])

    def to_text(self) -> str:
        """The line of a key file that holds this key."""
        return f"{ALGORITHM} {self.version} {encode_base64(self._seed)}\n"

    def verify_key(self) -> VerifyKey:
        """The public half."""
        return VerifyKey(bytes(self._key.verify_key), self.key_id)

    def sign(self, message: bytes) -> str:
        """The signature of `message`, in unpadded base64."""
        return encode_base64(self._key.sign(message).signature)


def generate(seed: bytes) -> SigningKey:
    """A new key from 32 random bytes; its version comes of its public half, so that no two keys share one."""
    public = bytes(_NaclSigningKey(seed).verify_key)
    return SigningKey(seed, "a_" + public[:4].hex())


def sign_json(value: JsonObject, server_name: str, key: SigningKey) -> JsonObject:
    """A copy of `value` with this server's signature added.

    Raises:
        BadJson: it holds a float or another thing that canonical JSON has not.
    """
    signature = key.sign(_signed_part(value))
    signatures = value.get("signatures")
    others = dict(signatures) if isinstance(signatures, dict) else {}
    own = others.get(server_name)
    others[server_name] = (dict(own) if isinstance(own, dict) else {}) | {key.key_id: signature}
    return value | {"signatures": others}


def verify_json(value: JsonObject, server_name: str, key: VerifyKey) -> bool:
    """Whether `value` carries a valid signature of `server_name` by this very key.

    Raises:
        BadJson: it holds a float or another thing that canonical JSON has not.
    """
    signature = find_signature(value.get("signatures"), server_name, key.key_id)
    return signature is not None and key.verify(_signed_part(value), signature)


def find_signature(signatures: Any, server_name: str, key_id: str) -> str | None:
    """The signature of that server by that key in a `signatures` object of any shape."""
    by_key = signatures.get(server_name) if isinstance(signatures, dict) else None
    signature = by_key.get(key_id) if isinstance(by_key, dict) else None
    return signature if isinstance(signature, str) else None


def _signed_part(value: JsonObject) -> bytes:
    return canonical_json.encode(
        {key: item for key, item in value.items() if key not in ("signatures", "unsigned")}
    )
