"""The devices of other servers' users, as their servers told us (server-server API, Device Management)."""

from collections.abc import Collection, Sequence
from typing import Final

import msgspec

from chamberlain.store import kinds
from chamberlain.store.database import position_of
from chamberlain.store.tx import Read, Write

MAX_DEVICES: Final = 1_000
"""With more devices than this a list is not up to date any more."""
_ROWS: Final = 500

_SHARED: Final = (
    " EXISTS (SELECT 1 FROM memberships theirs WHERE theirs.user_id = l.user_id AND theirs.membership = 'join'"
    " AND EXISTS (SELECT 1 FROM memberships ours WHERE ours.room_id = theirs.room_id"
    " AND ours.local AND ours.membership = 'join'))"
)
_SHARED_SINCE: Final = (
    " EXISTS (SELECT 1 FROM memberships theirs WHERE theirs.user_id = l.user_id AND theirs.membership = 'join'"
    " AND theirs.position <= l.asked_at"
    " AND EXISTS (SELECT 1 FROM memberships ours WHERE ours.room_id = theirs.room_id"
    " AND ours.local AND ours.membership = 'join' AND ours.position <= l.asked_at))"
)


class RemoteDevice(msgspec.Struct, frozen=True, order=True):
    """A device with its keys (canonical JSON without `unsigned`)."""

    device_id: str
    keys: bytes
    display_name: str | None = None


class RemoteList(msgspec.Struct, frozen=True):
    """All devices of a user by their ids, and the cross-signing keys (JSON)."""

    stream_id: int
    devices: Sequence[RemoteDevice] = ()
    master: bytes | None = None
    self_signing: bytes | None = None


class RemoteUpdate(msgspec.Struct, frozen=True):
    """One change; `device` is None where the device is gone. It follows on the update `prev_id`, None: unknown."""

    user_id: str
    device_id: str
    stream_id: int
    prev_id: int | None
    device: RemoteDevice | None


async def shared_with_us(tx: Read, user_ids: Collection[str]) -> set[str]:
    """Give which of these users are in a room that any of ours is in."""
    rows = await tx.all(
        "SELECT DISTINCT l.user_id FROM memberships l WHERE l.user_id = ANY(:user_ids) AND l.membership = 'join'"
        " AND EXISTS (SELECT 1 FROM memberships ours WHERE ours.room_id = l.room_id"
        " AND ours.local AND ours.membership = 'join')",
        user_ids=list(user_ids),
    )
    return {row[0] for row in rows}


async def list_current(tx: Read, user_ids: Collection[str]) -> dict[str, RemoteList]:
    """Give the lists that are up to date: nothing was missed, and their server has told us of all changes.

    It has as long as a room is shared: since it was asked, a user of ours and theirs have been in one without a
    break, which their memberships show that are older than that.
    """
    lists = await tx.all(
        "SELECT l.user_id, l.stream_id, l.master, l.self_signing FROM remote_device_lists l"
        " WHERE l.user_id = ANY(:user_ids) AND NOT l.is_stale AND" + _SHARED_SINCE,
        user_ids=list(user_ids),
    )
    if not lists:
        return {}
    devices = await _devices_of(tx, [row[0] for row in lists])
    return {row[0]: RemoteList(row[1], devices.get(row[0], []), row[2], row[3]) for row in lists}


async def _devices_of(tx: Read, user_ids: Sequence[str]) -> dict[str, list[RemoteDevice]]:
    rows = await tx.all(
        "SELECT user_id, device_id, keys, display_name FROM remote_devices WHERE user_id = ANY(:user_ids)"
        " ORDER BY user_id, device_id",
        user_ids=user_ids,
    )
    devices: dict[str, list[RemoteDevice]] = {}
    for user_id, device_id, keys, display_name in rows:
        devices.setdefault(user_id, []).append(RemoteDevice(device_id, keys, display_name))
    return devices


class Asking(msgspec.Struct, frozen=True):
    """That a server is being asked for a list: when, and how much had been missed."""

    user_id: str
    position: int
    missed: int


async def begin_asking(tx: Write, user_ids: Collection[str]) -> dict[str, Asking]:
    """Before servers are asked: what is missed from now on will be known to have been missed."""
    await tx.many(
        "INSERT INTO remote_device_lists (user_id, stream_id, is_stale, missed, asked_at)"
        " VALUES (:user_id, 0, TRUE, 0, 0) ON CONFLICT (user_id) DO NOTHING",
        [{"user_id": user_id} for user_id in sorted(user_ids)],
    )
    position = await position_of(tx)
    rows = await tx.all(
        "SELECT user_id, missed FROM remote_device_lists WHERE user_id = ANY(:user_ids)",
        user_ids=list(user_ids),
    )
    return {row[0]: Asking(row[0], position, row[1]) for row in rows}


async def put(tx: Write, asking: Asking, answer: RemoteList) -> bool:
    """Keep what a server answered; False where something was missed meanwhile, so that it must be asked again.

    Followers are told where it is something new. A list that nobody wants any more is not kept.
    """
    before = await tx.one(
        "SELECT master, self_signing, missed FROM remote_device_lists WHERE user_id = :user_id FOR UPDATE",
        user_id=asking.user_id,
    )
    if before is None:
        return True
    is_current: bool = before[2] == asking.missed
    devices = (await _devices_of(tx, [asking.user_id])).get(asking.user_id, [])
    await tx.run(
        "UPDATE remote_device_lists SET stream_id = :stream_id, is_stale = :is_stale,"
        " asked_at = :position, master = :master, self_signing = :self_signing WHERE user_id = :user_id",
        user_id=asking.user_id,
        stream_id=answer.stream_id,
        is_stale=not is_current,
        position=asking.position,
        master=answer.master,
        self_signing=answer.self_signing,
    )
    if devices != sorted(answer.devices):
        await tx.run("DELETE FROM remote_devices WHERE user_id = :user_id", user_id=asking.user_id)
        await tx.many(_INSERT_DEVICE, [_row(asking.user_id, device) for device in answer.devices])
    elif before[:2] == (answer.master, answer.self_signing):
        return is_current
    mark(tx, asking.user_id)
    return is_current


_INSERT_DEVICE: Final = (
    "INSERT INTO remote_devices (user_id, device_id, keys, display_name)"
    " VALUES (:user_id, :device_id, :keys, :display_name) ON CONFLICT (user_id, device_id)"
    " DO UPDATE SET keys = excluded.keys, display_name = excluded.display_name"
)


def _row(user_id: str, device: RemoteDevice) -> dict[str, object]:
    return {"user_id": user_id, **msgspec.structs.asdict(device)}


async def update(tx: Write, change: RemoteUpdate) -> bool:
    """Apply an update of a user with whom a room is shared; whether their server must be asked for the whole list.

    Followers are told in any case but that of a repetition. A list that nobody has asked for stays unknown.
    """
    row = await tx.one(
        "SELECT stream_id, is_stale FROM remote_device_lists WHERE user_id = :user_id FOR UPDATE",
        user_id=change.user_id,
    )
    if row is None:
        mark(tx, change.user_id)
        return False
    stream_id, is_stale = row
    if not is_stale and stream_id == change.stream_id:
        return False
    mark(tx, change.user_id)
    if is_stale or change.prev_id != stream_id or not await _has_space(tx, change):
        await miss(tx, [change.user_id])
        return True
    if change.device is None:
        await tx.run(
            "DELETE FROM remote_devices WHERE user_id = :user_id AND device_id = :device_id",
            user_id=change.user_id,
            device_id=change.device_id,
        )
    else:
        await tx.many(_INSERT_DEVICE, [_row(change.user_id, change.device)])
    await tx.run(
        "UPDATE remote_device_lists SET stream_id = :stream_id WHERE user_id = :user_id",
        user_id=change.user_id,
        stream_id=change.stream_id,
    )
    return False


async def _has_space(tx: Read, change: RemoteUpdate) -> bool:
    if change.device is None:
        return True
    count: int = await tx.value(
        "SELECT COUNT(*) FROM remote_devices WHERE user_id = :user_id", user_id=change.user_id
    )
    return count < MAX_DEVICES


async def miss(tx: Write, user_ids: Collection[str]) -> None:
    """The lists of these users are not up to date: something was missed."""
    await tx.run(
        "UPDATE remote_device_lists SET is_stale = TRUE, missed = missed + 1 WHERE user_id = ANY(:user_ids)",
        user_ids=sorted(user_ids),
    )


async def set_signing_keys(tx: Write, user_id: str, master: bytes | None, self_signing: bytes | None) -> None:
    """Keep cross-signing keys that a server told of; None leaves the one that is there. Followers are told."""
    row = await tx.one(
        "SELECT master, self_signing, is_stale FROM remote_device_lists WHERE user_id = :user_id FOR UPDATE",
        user_id=user_id,
    )
    if row is not None:
        keys = (master or row[0], self_signing or row[1])
        if keys == row[:2]:
            return
        if row[2]:
            # What is on its way may be older.
            await miss(tx, [user_id])
        await tx.run(
            "UPDATE remote_device_lists SET master = :master, self_signing = :self_signing"
            " WHERE user_id = :user_id",
            user_id=user_id,
            master=keys[0],
            self_signing=keys[1],
        )
    mark(tx, user_id)


def mark(tx: Write, user_id: str) -> None:
    """Tell those who share a room that a remote user's devices, keys or signatures are not what they were.

    One row for each user is enough: who has not come so far comes to it later. So another server cannot fill the
    table.
    """
    placement = tx.place(kinds.DEVICE_LIST, user_id)
    placement.write(
        "INSERT INTO device_list_changes (user_id, position) VALUES (:user_id, :position)", user_id=user_id
    )
    placement.write(
        "DELETE FROM device_list_changes WHERE user_id = :user_id AND position < :position", user_id=user_id
    )


async def list_stale(tx: Read, limit: int) -> list[str]:
    """Give users whose list is not up to date though a room is shared with them."""
    rows = await tx.all(
        "SELECT l.user_id FROM remote_device_lists l WHERE l.is_stale AND" + _SHARED + " LIMIT :limit",
        limit=limit,
    )
    return [row[0] for row in rows]


async def forget(tx: Write, user_ids: Collection[str]) -> None:
    """Forget the lists of these users."""
    await tx.run("DELETE FROM remote_device_lists WHERE user_id = ANY(:user_ids)", user_ids=list(user_ids))
    await tx.run("DELETE FROM remote_devices WHERE user_id = ANY(:user_ids)", user_ids=list(user_ids))


async def forget_unshared(tx: Write, after: str) -> str | None:
    """Forget the lists of users with whom no room is shared, of the next few after one; give the last looked at."""
    rows = await tx.all(
        "SELECT user_id FROM remote_device_lists WHERE user_id > :after ORDER BY user_id LIMIT :rows",
        after=after,
        rows=_ROWS,
    )
    if not rows:
        return None
    users: list[str] = [row[0] for row in rows]
    await forget(tx, set(users) - await shared_with_us(tx, users))
    return users[-1]
