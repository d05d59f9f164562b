"""User-interactive authentication: a request that is asked for again, with proof (client-server API, 5.5).

A session that has not got anywhere is only signed: `expiry | nonce | MAC over these, the method, the path and the
user`. What it has completed, and that it is used up, stands in the database. Each is good for one request.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable, Mapping, Sequence
from hashlib import blake2b
from hmac import compare_digest
from typing import Any, Final

import msgspec

from chamberlain.accounts.passwords import Passwords
from chamberlain.accounts.requester import Requester
from chamberlain.accounts.users import Users
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import BadJson, Forbidden, MatrixError, MissingParam, UIARequired
from chamberlain.matrix.types import JsonObject
from chamberlain.runtime.clock import Clock
from chamberlain.runtime.rng import Rng
from chamberlain.store import uia as rows
from chamberlain.store import users as user_rows
from chamberlain.store.database import Database

PASSWORD: Final = "m.login.password"
DUMMY: Final = "m.login.dummy"
RECAPTCHA: Final = "m.login.recaptcha"
REGISTRATION_TOKEN: Final = "m.login.registration_token"

SESSION_MS: Final = 24 * 3_600_000
_NONCE_BYTES = 12
_MAC_BYTES = 16
_EXPIRY_BYTES = 6

Flow = tuple[str, ...]
Prove = Callable[[str, JsonObject], Awaitable[str | None]]
"""Checks one stage: (its type, the `auth` object); gives the registration token that was shown, if any. Raises
MatrixError where it fails."""


class SomebodyElse(Forbidden):
    """The proof is about another account, which no other try with this session can mend."""


class Passed(msgspec.Struct, frozen=True, kw_only=True):
    """A flow was completed. The caller uses the session up with what it protects, in one transaction.

    `token_is_held`: a use of `registration_token` has been set aside for this session.
    """

    session: str | None
    expires_at: int
    registration_token: str | None = None
    token_is_held: bool = False


class _Progress(msgspec.Struct, kw_only=True):
    """How far a session has got."""

    session: str
    expires_at: int
    flows: Sequence[Flow]
    completed: list[str]
    params: Mapping[str, JsonObject]
    token: str | None = None

    def is_done(self) -> bool:
        return any(set(flow) <= set(self.completed) for flow in self.flows)

    def challenge(self, failure: MatrixError | None = None) -> UIARequired:
        body: dict[str, Any] = {
            "flows": [{"stages": list(flow)} for flow in self.flows],
            "params": {
                stage: params
                for stage, params in self.params.items()
                if any(stage in flow for flow in self.flows)
            },
            "session": self.session,
        }
        if self.completed or failure is not None:
            body["completed"] = self.completed
        return UIARequired(body, failure=failure)


class Uia:
    """Asks for proof and checks it."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        rng: Rng,
        users: Users,
        passwords: Passwords,
        params: Mapping[str, JsonObject] | None = None,
    ) -> None:
        """`params`: what clients need for a stage, by its type."""
        self._db = db
        self._clock = clock
        self._rng = rng
        self._users = users
        self._passwords = passwords
        self._params = params or {}
        self._key = b""
        self.throttle: Callable[[str], None] = _never
        """Told whose password is tried; raises LimitExceeded where that is too often."""

    async def start(self) -> None:
        """Read the secret that sessions are signed with, which every worker shares."""
        self._key = (await self._db.write(rows.get_or_make_key, self._rng.token())).encode()

    async def confirm(self, requester: Requester, method: str, path: str, auth: object) -> None:
        """Return once the requester has proven with the account's password that it is they who ask.

        What an application service asks for its users needs no proof.

        Raises:
            UIARequired: there is no (right) proof yet; asks for it.
            BadJson: `auth` has the wrong shape.
            Forbidden: the account has no password to prove anything with, or the proof is of another account.
            LimitExceeded: the password is tried too often.
        """
        if requester.appservice_id is not None:
            return
        user = await self._users.get(requester.user_id)
        if not user.has_password or not self._passwords.enabled:
            raise Forbidden("This account has no password to confirm this with")

        async def prove(_: str, given: JsonObject) -> None:
            await self._prove_password(requester.user_id, given)

        bound = f"{method} {path} {requester.user_id}"
        await self.use(await self.check(bound, [(PASSWORD,)], auth, prove), bound, [(PASSWORD,)])

    async def use(self, passed: Passed, bound: str, flows: Sequence[Flow]) -> None:
        """Use the session up; raises UIARequired, with a new one, where that has happened before."""
        if passed.session is None:
            return
        if not await self._db.write(rows.use, passed.session, passed.expires_at):
            raise self.used_up(bound, flows)

    def used_up(self, bound: str, flows: Sequence[Flow]) -> UIARequired:
        """What is answered to whoever comes with a session that was used before."""
        return self.failed(bound, flows, Forbidden("This session has been used already"))

    def failed(self, bound: str, flows: Sequence[Flow], failure: MatrixError) -> UIARequired:
        """What is answered to whoever has to begin again."""
        return self._fresh(bound, flows).challenge(failure)

    async def check(self, bound: str, flows: Sequence[Flow], auth: object, prove: Prove) -> Passed:
        """Return once one of the flows is completed; `bound` says what the session is for and for whom.

        Raises:
            UIARequired: not all stages are completed, or one has failed; says what to do next.
            BadJson: `auth` has the wrong shape.
        """
        if auth is None:
            raise self._fresh(bound, flows).challenge()
        given, session, kind = _parse(auth)
        if session is None and kind is None:
            raise self._fresh(bound, flows).challenge()
        progress = await self._resume(bound, flows, session)
        held = progress.token
        if kind is not None and kind not in progress.completed:
            shown = await self._prove(progress, kind, given, prove)
            progress.token = held or shown
            progress.completed.append(kind)
        if progress.is_done():
            return Passed(
                session=session,
                expires_at=progress.expires_at,
                registration_token=progress.token,
                token_is_held=held is not None,
            )
        await self._remember(progress)
        raise progress.challenge()

    async def _prove(self, progress: _Progress, kind: str, given: JsonObject, prove: Prove) -> str | None:
        if not any(kind in flow for flow in progress.flows):
            raise progress.challenge(MatrixError(ErrCode.UNRECOGNIZED, "This is no stage of this request"))
        try:
            return await prove(kind, given)
        except SomebodyElse:
            raise
        except MatrixError as failure:
            if failure.status in (401, 403):
                raise progress.challenge(failure) from None
            raise

    async def _remember(self, progress: _Progress) -> None:
        if not progress.completed:
            return
        kept = await self._db.write(
            rows.complete,
            progress.session,
            progress.completed,
            progress.token,
            self._clock.now(),
            progress.expires_at,
        )
        if not kept:
            progress.completed.remove(REGISTRATION_TOKEN)
            raise progress.challenge(MatrixError(ErrCode.UNAUTHORIZED, "The registration token is used up"))

    async def _resume(self, bound: str, flows: Sequence[Flow], session: str | None) -> _Progress:
        if session is None:
            return self._fresh(bound, flows)
        expires_at = self._verify(session, bound)
        if expires_at is None:
            refusal = Forbidden("The session is unknown, has expired or is for something else")
            raise self.failed(bound, flows, refusal)
        progress = self._progress(session, expires_at, flows)
        found = await self._db.read(rows.find, session)
        if found is not None:
            progress.completed, progress.token, used = found
            if used:
                raise self.used_up(bound, flows)
        return progress

    def _fresh(self, bound: str, flows: Sequence[Flow]) -> _Progress:
        expires_at = self._clock.now() + SESSION_MS
        head = expires_at.to_bytes(_EXPIRY_BYTES) + self._rng.bytes(_NONCE_BYTES)
        session = _encode(head + self._mac(head, bound))
        return self._progress(session, expires_at, flows)

    def _progress(self, session: str, expires_at: int, flows: Sequence[Flow]) -> _Progress:
        return _Progress(
            session=session, expires_at=expires_at, flows=flows, completed=[], params=self._params
        )

    def _verify(self, session: str, bound: str) -> int | None:
        """When a session ends that was made here, for this; None for any other."""
        try:
            raw = urlsafe_b64decode(session + "=" * (-len(session) % 4))
        except ValueError:
            return None
        head, mac = raw[: _EXPIRY_BYTES + _NONCE_BYTES], raw[_EXPIRY_BYTES + _NONCE_BYTES :]
        # There must be one spelling of a session, or a used one could come back under another.
        if _encode(raw) != session or not compare_digest(mac, self._mac(head, bound)):
            return None
        expires_at = int.from_bytes(head[:_EXPIRY_BYTES])
        return expires_at if expires_at > self._clock.now() else None

    def _mac(self, head: bytes, bound: str) -> bytes:
        return blake2b(head + bound.encode(), digest_size=_MAC_BYTES, key=self._key).digest()

    async def _prove_password(self, user_id: str, given: Mapping[str, Any]) -> None:
        password = given.get("password")
        if password is None:
            raise MissingParam("The password is missing")
        if not isinstance(password, str):
            raise BadJson("The password is not a string")
        name = _user_of(given)
        if name is not None and self._users.parse_local(name) != user_id:
            raise SomebodyElse("This is the password of somebody else")
        self.throttle(user_id)
        found = (await self._db.read(user_rows.credentials, [user_id])).get(user_id)
        if not await self._passwords.is_right(password, None if found is None else found[0]):
            raise Forbidden("The password is wrong")


def _never(_: str) -> None:
    """No limit."""


def _encode(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _parse(auth: object) -> tuple[JsonObject, str | None, str | None]:
    """The `auth` object, its session and its type."""
    if not isinstance(auth, dict):
        raise BadJson("auth is not an object")
    session, kind = auth.get("session"), auth.get("type")
    if not isinstance(session, str | None):
        raise BadJson("auth.session is not a string")
    if not isinstance(kind, str | None):
        raise BadJson("auth.type is not a string")
    return auth, session, kind


def _user_of(given: Mapping[str, Any]) -> str | None:
    """The user that the client says it is: by an identifier, or as clients did before there were identifiers."""
    identifier = given.get("identifier")
    if identifier is None:
        name = given.get("user")
    elif not isinstance(identifier, dict):
        raise BadJson("identifier is not an object")
    elif identifier.get("type") != "m.id.user":
        return None
    else:
        name = identifier.get("user")
    if not isinstance(name, str | None):
        raise BadJson("user is not a string")
    return name
