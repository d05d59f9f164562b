"""Registration with a shared secret: who knows it makes accounts, administrators too."""

import hmac
from typing import Final

import msgspec

from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import LimitExceeded, MatrixError
from chamberlain.matrix.types import JsonObject
from chamberlain.runtime.clock import Clock
from chamberlain.runtime.rng import Rng
from chamberlain.store import nonces
from chamberlain.store.database import Database

NONCE_BYTES: Final = 64
NONCE_MS: Final = 60_000
MOST_NONCES: Final = 10_000
"""How many nonces may be open, since anybody can ask for one."""


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """What the MAC is made of, and the MAC in hexadecimal."""

    nonce: str
    username: str
    password: str
    admin: bool
    user_type: str | None
    mac: str


class SecretRegistration:
    """Gives out nonces and checks the MACs made with them."""

    def __init__(self, db: Database, clock: Clock, rng: Rng, secret: str) -> None:
        """Without a secret everything is refused."""
        self._db = db
        self._clock = clock
        self._rng = rng
        self._secret = secret.encode()

    def check_enabled(self) -> None:
        """Raises M_UNKNOWN (400) where the settings have no secret."""
        if not self._secret:
            raise refusal("Registration with a shared secret is not enabled")

    async def new_nonce(self) -> str:
        """A nonce that is good for one attempt within a minute, on any worker.

        Raises:
            MatrixError: M_UNKNOWN (400) without a secret.
            LimitExceeded: too many nonces are open.
        """
        self.check_enabled()
        nonce = self._rng.bytes(NONCE_BYTES).hex()
        now = self._clock.now()
        if not await self._db.write(nonces.create, nonce, now, now + NONCE_MS, MOST_NONCES):
            raise LimitExceeded(NONCE_MS)
        return nonce

    async def use_nonce(self, body: JsonObject) -> str:
        """The nonce of an attempt, which is used up.

        Raises:
            MatrixError: M_UNKNOWN (400) without a secret, or where the nonce is unknown, used or expired; M_BAD_JSON
                where there is none.
        """
        self.check_enabled()
        nonce = body.get("nonce")
        if not isinstance(nonce, str) or not nonce:
            raise refusal("nonce must be specified", ErrCode.BAD_JSON)
        if not await self._db.write(nonces.use, nonce, self._clock.now()):
            raise refusal("Unrecognised nonce")
        return nonce

    def check_mac(self, proof: Proof) -> None:
        """Return when the MAC is right, after the same time for each wrong one; raises M_UNKNOWN (403)."""
        parts = [proof.nonce, proof.username, proof.password, "admin" if proof.admin else "notadmin"]
        if proof.user_type:
            parts.append(proof.user_type)
        right = hmac.new(self._secret, "\0".join(parts).encode(), "sha1").hexdigest()
        if not hmac.compare_digest(right.encode(), proof.mac.encode()):
            raise MatrixError(ErrCode.UNKNOWN, "HMAC incorrect", status=403)


def refusal(message: str, code: ErrCode = ErrCode.UNKNOWN) -> MatrixError:
    """A refusal with status 400."""
    return MatrixError(code, message, status=400)
