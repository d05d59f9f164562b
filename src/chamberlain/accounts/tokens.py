"""Access tokens: who a request is from, logging in and out, refreshing (client-server API, 5.3 and 5.4)."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Final
from weakref import WeakValueDictionary

import msgspec

from chamberlain.accounts.requester import Requester
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import InvalidParam, MatrixError, UnknownToken
from chamberlain.matrix.ids import DeviceID, UserID
from chamberlain.runtime.cache import Cache
from chamberlain.runtime.clock import Clock
from chamberlain.runtime.rng import Rng
from chamberlain.store import devices, kinds
from chamberlain.store import tokens as rows
from chamberlain.store.database import Database
from chamberlain.store.tx import Change, Write

REFRESHABLE_MS: Final = 5 * 60_000
"""How long an access token lasts that comes with a refresh token."""
LOGIN_TOKEN_MS: Final = 2 * 60_000
MAX_DEVICE_ID: Final = 255
MAX_DEVICE_NAME: Final = 255
CACHED: Final = 50_000

_DEVICE_ID_LETTERS = 10


class NewDevice(msgspec.Struct, frozen=True, kw_only=True):
    """The device to log in: an old one by its id, or a new one; `refreshable` asks for a refresh token."""

    device_id: str | None = None
    display_name: str | None = None
    refreshable: bool = False


class LoggedIn(msgspec.Struct, omit_defaults=True, kw_only=True):
    """What a device that is logged in gets."""

    user_id: str
    access_token: str
    device_id: str
    refresh_token: str | None = None
    expires_in_ms: int | None = None


class Refreshed(msgspec.Struct, kw_only=True):
    """New tokens in the place of old ones."""

    access_token: str
    refresh_token: str
    expires_in_ms: int


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """A login that has been drawn and is yet to be written."""

    access: rows.NewToken
    refresh: rows.NewToken | None
    display_name: str | None
    device_is_new: bool
    login: LoggedIn


class _Access:
    """What the cached tokens of one user share: whether they may still be believed."""

    __slots__ = ("__weakref__", "valid")

    def __init__(self) -> None:
        self.valid = True


class _Entry:
    __slots__ = ("access", "expires_at", "requester")

    def __init__(self, requester: Requester, expires_at: int | None, access: _Access) -> None:
        self.requester = requester
        self.expires_at = expires_at
        self.access = access


class Tokens:
    """Gives out access tokens and says whose they are.

    What was looked up is believed until a change of kind ACCESS says that something about the user is different.
    """

    def __init__(self, db: Database, clock: Clock, rng: Rng) -> None:
        self._db = db
        self._clock = clock
        self._rng = rng
        self._entries: Cache[str, _Entry] = Cache(CACHED, "access tokens")
        self._users: WeakValueDictionary[str, _Access] = WeakValueDictionary()
        self._drops = 0
        db.subscribe(self._changed)

    def _changed(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if change.kind == kinds.ACCESS:
                self._drops += 1
                access = self._users.pop(change.entity, None)
                if access is not None:
                    access.valid = False

    def cached(self, token: str) -> Requester | None:
        """The requester of a token seen lately, without waiting; None sends the caller to `identify`."""
        entry = self._entries.get(token)
        if entry is None or not entry.access.valid:
            return None
        if entry.expires_at is not None and entry.expires_at <= self._clock.now():
            return None
        return entry.requester

    async def identify(self, token: str) -> Requester:
        """The requester of a token.

        Raises:
            UnknownToken: there is no such token, or, with `soft_logout`, it has expired.
        """
        hash = hash_of(token)
        drops = self._drops
        found = await self._db.read(rows.find, hash)
        requester = self._requester(hash, found)
        assert found is not None
        if found.replaces is not None:
            if not await self._db.write(rows.confirm, hash, found):
                raise UnknownToken(soft_logout=True)
        elif drops == self._drops:
            access = self._users.setdefault(found.user_id, _Access())
            self._entries.set(token, _Entry(requester, found.expires_at, access))
        return requester

    def _requester(self, hash: bytes, found: rows.AccessToken | None) -> Requester:
        if found is None:
            raise UnknownToken
        if found.expires_at is not None and found.expires_at <= self._clock.now():
            raise UnknownToken("The access token has expired", soft_logout=True)
        return Requester(
            user_id=UserID(found.user_id),
            device_id=None if found.device_id is None else DeviceID(found.device_id),
            token_id=_id_of(hash),
            is_guest=found.is_guest,
            is_admin=found.is_admin,
            is_locked=found.is_locked,
            is_suspended=found.is_suspended,
            appservice_id=found.appservice_id,
        )

    async def recheck(self, requester: Requester) -> None:
        """Return when the token behind a request that is still being served is good.

        Whoever waits on behalf of a requester asks after each change of kind ACCESS of that user.

        Raises:
            UnknownToken: it was logged out, or, with `soft_logout`, it has expired.
            MatrixError: M_USER_LOCKED, the account has been locked.
        """
        for hash in await self._db.read(rows.hashes_of, requester.user_id):
            if _id_of(hash) == requester.token_id:
                now = self._requester(hash, await self._db.read(rows.find, hash))
                if now.is_locked:
                    raise locked()
                return
        raise UnknownToken

    def draw(self, user_id: str, device: NewDevice) -> Grant:
        """A login for this device, to be written by `write_grant` in the transaction of the caller.

        Raises:
            InvalidParam: the device's id or name is too long, or the id is empty.
        """
        device_id = device.device_id
        if device_id is None:
            device_id = self._rng.id(_DEVICE_ID_LETTERS).upper()
        elif not device_id or len(device_id) > MAX_DEVICE_ID:
            raise InvalidParam(f"A device ID has 1 to {MAX_DEVICE_ID} characters")
        if device.display_name is not None and len(device.display_name) > MAX_DEVICE_NAME:
            raise InvalidParam(f"A device name has at most {MAX_DEVICE_NAME} characters")
        now = self._clock.now()
        token = self._rng.token()
        refresh_token = self._rng.token() if device.refreshable else None
        refresh = None
        if refresh_token is not None:
            refresh = rows.NewToken(
                hash=hash_of(refresh_token), user_id=user_id, device_id=device_id, created_at=now
            )
        lifetime = REFRESHABLE_MS if device.refreshable else None
        return Grant(
            access=rows.NewToken(
                hash=hash_of(token),
                user_id=user_id,
                device_id=device_id,
                created_at=now,
                expires_at=None if lifetime is None else now + lifetime,
            ),
            refresh=refresh,
            display_name=device.display_name,
            device_is_new=device.device_id is None,
            login=LoggedIn(
                user_id=user_id,
                access_token=token,
                device_id=device_id,
                refresh_token=refresh_token,
                expires_in_ms=lifetime,
            ),
        )

    async def issue(self, user_id: str, device: NewDevice) -> LoggedIn:
        """The device is logged in; tokens that it had before are not good any more.

        Raises:
            InvalidParam: the device's id or name is too long, or the id is empty.
        """
        grant = self.draw(user_id, device)
        if grant.device_is_new:
            await self._db.write_batch(write_new_devices, grant)
        else:
            await self._db.write(write_grant, grant)
        return grant.login

    async def issue_without_device(self, user_id: str, expires_at: int | None = None) -> str:
        """A token for the account that belongs to no device, good until `expires_at` (ms)."""
        token = self._rng.token()
        new = rows.NewToken(
            hash=hash_of(token),
            user_id=user_id,
            device_id=None,
            created_at=self._clock.now(),
            expires_at=expires_at,
        )
        await self._db.write(rows.add_access, [new])
        return token

    async def refresh(self, refresh_token: str) -> Refreshed:
        """New tokens; the old ones stay good until one of the new ones is used.

        Raises:
            UnknownToken: the refresh token is unknown or its successor is in use.
            MatrixError: M_USER_LOCKED, the account is locked.
        """
        used = hash_of(refresh_token)
        found = await self._db.read(rows.find_refresh, used)
        if found is None:
            raise UnknownToken("Unknown refresh token", soft_logout=True)
        user_id, device_id, _, is_locked = found
        if is_locked:
            raise locked()
        now = self._clock.now()
        access_token, new_refresh_token = self._rng.token(), self._rng.token()
        access = rows.NewToken(
            hash=hash_of(access_token),
            user_id=user_id,
            device_id=device_id,
            created_at=now,
            expires_at=now + REFRESHABLE_MS,
            replaces=used,
        )
        refresh = rows.NewToken(
            hash=hash_of(new_refresh_token),
            user_id=user_id,
            device_id=device_id,
            created_at=now,
            replaces=used,
        )
        if not await self._db.write(rows.rotate, used, access, refresh):
            raise UnknownToken("Unknown refresh token", soft_logout=True)
        return Refreshed(
            access_token=access_token, refresh_token=new_refresh_token, expires_in_ms=REFRESHABLE_MS
        )

    async def log_out(self, requester: Requester) -> None:
        """The token of the requester is gone, and its device with its keys. Harmless when repeated."""
        if requester.device_id is not None:
            await self.log_out_devices(requester.user_id, [requester.device_id])
            return
        for hash in await self._db.read(rows.hashes_of, requester.user_id):
            if _id_of(hash) == requester.token_id:
                await self._db.write(rows.delete, hash)

    async def log_out_devices(self, user_id: str, device_ids: Sequence[str]) -> list[str]:
        """The devices are gone, with their tokens and keys; gives the ids of those that existed."""
        return await self._db.write(devices.delete_many, user_id, list(device_ids))

    async def log_out_all(self, user_id: str, but: str | None = None) -> None:
        """Every device of the user is gone, but one where it is named, and every token with them."""
        await self._db.write(_log_out_all, user_id, but)

    async def make_login_token(self, user_id: str) -> str:
        """A token that logs in one device within `LOGIN_TOKEN_MS`."""
        token = self._rng.token()
        now = self._clock.now()
        await self._db.write(rows.add_login_token, hash_of(token), user_id, now, now + LOGIN_TOKEN_MS)
        return token

    async def use_login_token(self, token: str) -> str | None:
        """Use a login token up and give its user; None where it is unknown, used or expired."""
        return await self._db.write(rows.use_login_token, hash_of(token), self._clock.now())


async def write_grant(tx: Write, grant: Grant) -> None:
    """Write a login that was drawn: the device, and its tokens in the place of those that it had."""
    new = grant.access
    assert new.device_id is not None
    made = await devices.upsert(tx, new.user_id, new.device_id, grant.display_name, new.created_at)
    if not made:
        await rows.delete_of_device(tx, new.user_id, new.device_id)
    await rows.add_access(tx, [new])
    if grant.refresh is not None:
        await rows.add_refresh(tx, [grant.refresh])


async def write_new_devices(tx: Write, grants: list[Grant]) -> list[None]:
    """Write logins of devices that do not exist yet, all as one set."""
    await devices.add_new(tx, [(grant.login.user_id, _device_of(grant)) for grant in grants])
    await rows.add_access(tx, [grant.access for grant in grants])
    await rows.add_refresh(tx, [grant.refresh for grant in grants if grant.refresh is not None])
    return [None] * len(grants)


def _device_of(grant: Grant) -> devices.DeviceRow:
    return grant.login.device_id, grant.display_name, grant.access.created_at


async def _log_out_all(tx: Write, user_id: str, but: str | None) -> None:
    await devices.delete_all(tx, user_id, but=but)
    await rows.delete_all(tx, user_id, but=but)


def hash_of(token: str) -> bytes:
    """What is kept of a token."""
    return sha256(token.encode()).digest()


def _id_of(hash: bytes) -> int:
    return int.from_bytes(hash[:7])


def locked() -> MatrixError:
    """The answer to whoever uses a locked account."""
    return MatrixError(ErrCode.USER_LOCKED, "This account is locked", soft_logout=True)
