"""This server's own keys, as it publishes them and as a notary that signs for others (server-server API, Keys)."""

from collections.abc import Mapping, Sequence
from typing import Final

from chamberlain.federation.key_file import KeyFile
from chamberlain.matrix import canonical_json
from chamberlain.matrix.server_keys import PublishedKey, own_keys
from chamberlain.matrix.signing import SigningKey, sign_json
from chamberlain.matrix.types import JsonObject
from chamberlain.runtime.clock import Clock

VALID_MS: Final = 24 * 3_600_000
FOREVER: Final = 2**53 - 1


class OwnKeys:
    """The keys of this server."""

    def __init__(self, clock: Clock, server_name: str, keys: KeyFile) -> None:
        self._clock = clock
        self._server_name = server_name
        self.replace(keys)

    def replace(self, keys: KeyFile) -> None:
        """These are the keys from now on."""
        self._keys = keys
        self._published: dict[str, PublishedKey] = {
            **{key.key.key_id: key for key in keys.old},
            **{key.key_id: PublishedKey(key.verify_key(), FOREVER) for key in keys.active},
        }
        self._answer = b""
        self._valid_until = 0

    @property
    def signing_key(self) -> SigningKey:
        """The one that signs."""
        return self._keys.active[0]

    @property
    def active(self) -> Sequence[SigningKey]:
        """Those in use, the one that signs first."""
        return self._keys.active

    def published(self) -> Mapping[str, PublishedKey]:
        """All of them, by key id."""
        return self._published

    def answer(self, valid_until: int = 0) -> bytes:
        """What `/_matrix/key/v2/server` answers: signed with each key in use, valid for half a day or longer.

        `valid_until` (ms): until when it should hold, if that is not more than a day away.
        """
        now = self._clock.now()
        if self._valid_until < max(now + VALID_MS // 2, min(valid_until, now + VALID_MS)):
            self._valid_until = now + VALID_MS
            made = own_keys(self._server_name, self._keys.active, self._keys.old, self._valid_until)
            self._answer = canonical_json.encode(made)
        return self._answer

    def countersign(self, answer: JsonObject) -> JsonObject:
        """What another server said of its keys, with this one's signature added."""
        return sign_json(answer, self._server_name, self.signing_key)
