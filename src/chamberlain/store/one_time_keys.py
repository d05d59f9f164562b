"""One-time and fallback keys: each one-time key is given out once (client-server API, One-time and fallback keys)."""

from collections import deque
from typing import NamedTuple

import msgspec
import orjson

from chamberlain.store import kinds
from chamberlain.store.tx import Read, Row, Write

Device = tuple[str, str]
"""User id and device id."""
Wanted = tuple[str, str, str]
"""User id, device id, algorithm."""


KEYS_IN_A_ROW = 10
"""About as many as fit into a database page: writing fifty keys costs a third of writing fifty rows."""

_array = msgspec.json.Decoder(list[msgspec.Raw])


class NewKey(NamedTuple):
    """A key in an upload; `key` is its JSON value."""

    algorithm: str
    key_id: str
    key: bytes


class Batch(NamedTuple):
    """What one device uploads."""

    user_id: str
    device_id: str
    one_time: list[NewKey]
    fallback: list[NewKey]


class Given(NamedTuple):
    """A claimed key."""

    user_id: str
    device_id: str
    algorithm: str
    key_id: str
    key: bytes


class Outcome(NamedTuple):
    """What came of an upload: the counts by algorithm, or why nothing was kept."""

    counts: dict[str, int]
    taken: str | None = None
    """The id of a key that the device has uploaded before with other content."""
    no_device: bool = False


async def upload(tx: Write, batches: list[Batch]) -> list[Outcome]:
    """Keep the keys of each batch, or none of it; a key that is there already counts as kept."""
    users = sorted({batch.user_id for batch in batches})
    devices = sorted({batch.device_id for batch in batches})
    alive = await tx.all(
        "SELECT user_id, device_id FROM devices WHERE user_id = ANY(:users) AND device_id = ANY(:devices)"
        " ORDER BY user_id, device_id FOR UPDATE",
        users=users,
        devices=devices,
    )
    shelves = {(row[0], row[1]): _Shelf((row[0], row[1])) for row in alive}
    await _load(tx, shelves, users, devices)
    outcomes: list[Outcome] = []
    fallbacks: dict[Wanted, dict[str, object]] = {}
    for batch in batches:
        device = (batch.user_id, batch.device_id)
        shelf = shelves.get(device)
        if shelf is None:
            outcomes.append(Outcome({}, no_device=True))
            continue
        taken = await shelf.find_clash(tx, batch.one_time)
        if taken is None:
            if shelf.add(batch.one_time) or batch.fallback:
                tx.place(kinds.ONE_TIME_KEYS, *device)
            fallbacks |= {(*device, key.algorithm): _fallback_row(device, key) for key in batch.fallback}
        outcomes.append(Outcome(dict(shelf.number), taken))
    await _insert(tx, [row for shelf in shelves.values() for row in shelf.new], list(fallbacks.values()))
    return outcomes


class _Shelf:
    """The keys of one device, as far as an upload must know them."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.number: dict[str, int] = {}
        self.new: list[dict[str, object]] = []
        self._last_turn: dict[str, int] = {}
        self._turns: dict[tuple[str, str], int] = {}
        """In which row each key is that was there before."""
        self._added: dict[tuple[str, str], bytes] = {}

    def load(self, algorithm: str, turn: int, taken: int, key_ids: bytes) -> None:
        """Know of a row that is there."""
        left = orjson.loads(key_ids)[taken:]
        self.number[algorithm] = self.number.get(algorithm, 0) + len(left)
        self._last_turn[algorithm] = max(self._last_turn.get(algorithm, 0), turn)
        for key_id in left:
            self._turns[algorithm, key_id] = turn

    async def find_clash(self, tx: Read, keys: list[NewKey]) -> str | None:
        """The id of a key that is there with other content, or None."""
        for key in keys:
            name = key.algorithm, key.key_id
            there = self._added.get(name)
            if there is None and name in self._turns:
                there = await self._content(tx, *name)
            if there is not None and there != key.key and orjson.loads(there) != orjson.loads(key.key):
                return key.key_id
        return None

    async def _content(self, tx: Read, algorithm: str, key_id: str) -> bytes:
        user_id, device_id = self.device
        row = await tx.one(
            "SELECT key_ids, keys FROM one_time_keys WHERE user_id = :user_id AND device_id = :device_id"
            " AND algorithm = :algorithm AND turn = :turn",
            user_id=user_id,
            device_id=device_id,
            algorithm=algorithm,
            turn=self._turns[algorithm, key_id],
        )
        assert row is not None
        return bytes(_array.decode(row[1])[orjson.loads(row[0]).index(key_id)])

    def add(self, keys: list[NewKey]) -> bool:
        """Put the keys that are new into rows; False where there is none."""
        by_algorithm: dict[str, list[NewKey]] = {}
        for key in keys:
            name = key.algorithm, key.key_id
            if name not in self._turns and name not in self._added:
                self._added[name] = key.key
                by_algorithm.setdefault(key.algorithm, []).append(key)
        for algorithm, new in by_algorithm.items():
            self.number[algorithm] = self.number.get(algorithm, 0) + len(new)
            for start in range(0, len(new), KEYS_IN_A_ROW):
                self.new.append(self._row(algorithm, new[start : start + KEYS_IN_A_ROW]))
        return bool(by_algorithm)

    def _row(self, algorithm: str, keys: list[NewKey]) -> dict[str, object]:
        self._last_turn[algorithm] = turn = self._last_turn.get(algorithm, 0) + 1
        return {
            "user_id": self.device[0],
            "device_id": self.device[1],
            "algorithm": algorithm,
            "turn": turn,
            "size": len(keys),
            "key_ids": orjson.dumps([key.key_id for key in keys]),
            "keys": b"[" + b",".join([key.key for key in keys]) + b"]",
        }


def _fallback_row(device: Device, key: NewKey) -> dict[str, object]:
    user_id, device_id = device
    return {"user_id": user_id, "device_id": device_id, **key._asdict()}


async def _load(tx: Read, shelves: dict[Device, _Shelf], users: list[str], devices: list[str]) -> None:
    rows = await tx.all(
        "SELECT user_id, device_id, algorithm, turn, taken, key_ids FROM one_time_keys"
        " WHERE user_id = ANY(:users) AND device_id = ANY(:devices)",
        users=users,
        devices=devices,
    )
    for user_id, device_id, algorithm, turn, taken, key_ids in rows:
        shelf = shelves.get((user_id, device_id))
        if shelf is not None:
            shelf.load(algorithm, turn, taken, key_ids)


async def _insert(tx: Write, one_time: list[dict[str, object]], fallbacks: list[dict[str, object]]) -> None:
    await tx.many(
        "INSERT INTO one_time_keys (user_id, device_id, algorithm, turn, size, taken, key_ids, keys)"
        " VALUES (:user_id, :device_id, :algorithm, :turn, :size, 0, :key_ids, :keys)",
        one_time,
    )
    if fallbacks:
        await tx.many(
            "INSERT INTO fallback_keys (user_id, device_id, algorithm, key_id, key, used)"
            " VALUES (:user_id, :device_id, :algorithm, :key_id, :key, FALSE)"
            " ON CONFLICT (user_id, device_id, algorithm) DO UPDATE SET"
            " used = CASE WHEN fallback_keys.key = excluded.key THEN fallback_keys.used ELSE FALSE END,"
            " key_id = excluded.key_id, key = excluded.key",
            fallbacks,
        )


async def claim(tx: Write, requests: list[list[Wanted]]) -> list[list[Given]]:
    """Give each request a key for each device and algorithm that it wants, as far as there are keys.

    A one-time key goes to one request alone, the oldest first; where none is left, the fallback key is given.
    """
    waiting: dict[Wanted, deque[int]] = {}
    for number, request in enumerate(requests):
        for wanted in dict.fromkeys(request):
            waiting.setdefault(wanted, deque()).append(number)
    given: list[list[Given]] = [[] for _ in requests]
    await _lock(tx, waiting)
    changed: set[Device] = set()
    left = dict(waiting)
    while left:
        taken = {key[:3]: key for key in await _take_oldest(tx, left)}
        for wanted, key in taken.items():
            given[waiting[wanted].popleft()].append(key)
            changed.add((key.user_id, key.device_id))
        left = {wanted: waiting[wanted] for wanted in taken if waiting[wanted]}
    unmet = {wanted: numbers for wanted, numbers in waiting.items() if numbers}
    for key, first_use in await _fallbacks(tx, unmet):
        for number in unmet[key[:3]]:
            given[number].append(key)
        if first_use:
            changed.add((key.user_id, key.device_id))
    for user_id, device_id in sorted(changed):
        tx.place(kinds.ONE_TIME_KEYS, user_id, device_id)
    return given


def _by_algorithm(wanted: dict[Wanted, deque[int]]) -> dict[str, list[Device]]:
    devices: dict[str, list[Device]] = {}
    for user_id, device_id, algorithm in wanted:
        devices.setdefault(algorithm, []).append((user_id, device_id))
    return devices


def _users(devices: list[Device]) -> list[str]:
    return sorted({user_id for user_id, _ in devices})


def _pairs(devices: list[Device]) -> list[str]:
    """Each device as one text. A user id ends with a server name, so that no two devices share a text."""
    return [f"{user_id} {device_id}" for user_id, device_id in devices]


async def _lock(tx: Write, wanted: dict[Wanted, deque[int]]) -> None:
    devices = [(user_id, device_id) for user_id, device_id, _ in wanted]
    await tx.all(
        "SELECT device_id FROM devices WHERE user_id = ANY(:users) AND user_id || ' ' || device_id = ANY(:pairs)"
        " ORDER BY user_id, device_id FOR UPDATE",
        users=_users(devices),
        pairs=_pairs(devices),
    )


async def _take_oldest(tx: Write, wanted: dict[Wanted, deque[int]]) -> list[Given]:
    rows: list[Row] = []
    if len(wanted) == 1:
        ((user_id, device_id, algorithm),) = wanted
        rows = await tx.all(
            "UPDATE one_time_keys SET taken = taken + 1"
            " WHERE user_id = :user_id AND device_id = :device_id AND algorithm = :algorithm"
            " AND turn = (SELECT min(k.turn) FROM one_time_keys k"
            " WHERE k.user_id = :user_id AND k.device_id = :device_id AND k.algorithm = :algorithm)"
            " RETURNING user_id, device_id, algorithm, turn, size, taken, key_ids, keys",
            user_id=user_id,
            device_id=device_id,
            algorithm=algorithm,
        )
    else:
        for algorithm, devices in _by_algorithm(wanted).items():
            rows += await tx.all(
                "UPDATE one_time_keys SET taken = taken + 1"
                " WHERE algorithm = :algorithm AND (user_id, device_id, turn) IN ("
                "SELECT d.user_id, d.device_id, (SELECT min(k.turn) FROM one_time_keys k"
                " WHERE k.user_id = d.user_id AND k.device_id = d.device_id AND k.algorithm = :algorithm)"
                " FROM devices d WHERE d.user_id = ANY(:users)"
                " AND d.user_id || ' ' || d.device_id = ANY(:pairs))"
                " RETURNING user_id, device_id, algorithm, turn, size, taken, key_ids, keys",
                algorithm=algorithm,
                users=_users(devices),
                pairs=_pairs(devices),
            )
    await _remove_empty(tx, rows)
    return [_given(row) for row in rows]


def _given(row: Row) -> Given:
    user_id, device_id, algorithm, _, _, taken, key_ids, keys = row
    key_id = orjson.loads(key_ids)[taken - 1]
    return Given(user_id, device_id, algorithm, key_id, bytes(_array.decode(keys)[taken - 1]))


async def _remove_empty(tx: Write, rows: list[Row]) -> None:
    empty = [row for row in rows if row[4] == row[5]]
    if empty:
        await tx.many(
            "DELETE FROM one_time_keys WHERE user_id = :user_id AND device_id = :device_id"
            " AND algorithm = :algorithm AND turn = :turn",
            [dict(zip(("user_id", "device_id", "algorithm", "turn"), row, strict=False)) for row in empty],
        )


async def _fallbacks(tx: Write, wanted: dict[Wanted, deque[int]]) -> list[tuple[Given, bool]]:
    """The fallback keys for what is wanted, each with whether it was unused until now."""
    found: list[tuple[Given, bool]] = []
    for algorithm, devices in _by_algorithm(wanted).items():
        where = {"algorithm": algorithm, "users": _users(devices), "pairs": _pairs(devices)}
        rows = await tx.all(
            "SELECT user_id, device_id, algorithm, key_id, key, used FROM fallback_keys"
            " WHERE user_id = ANY(:users) AND algorithm = :algorithm"
            " AND user_id || ' ' || device_id = ANY(:pairs)",
            **where,
        )
        found.extend((Given(*row[:5]), not row[5]) for row in rows)
        if any(not row[5] for row in rows):
            await tx.run(
                "UPDATE fallback_keys SET used = TRUE WHERE user_id = ANY(:users) AND algorithm = :algorithm"
                " AND user_id || ' ' || device_id = ANY(:pairs)",
                **where,
            )
    return found


async def counts(tx: Read, user_id: str, device_id: str) -> dict[str, int]:
    """Give how many one-time keys of each algorithm a device has."""
    rows = await tx.all(
        "SELECT algorithm, CAST(sum(size - taken) AS BIGINT) FROM one_time_keys"
        " WHERE user_id = :user_id AND device_id = :device_id GROUP BY algorithm",
        user_id=user_id,
        device_id=device_id,
    )
    return {row[0]: row[1] for row in rows}


async def unused_fallback_types(tx: Read, user_id: str, device_id: str) -> list[str]:
    """Give the algorithms whose fallback key was not given out yet."""
    rows = await tx.all(
        "SELECT algorithm FROM fallback_keys"
        " WHERE user_id = :user_id AND device_id = :device_id AND NOT used ORDER BY algorithm",
        user_id=user_id,
        device_id=device_id,
    )
    return [row[0] for row in rows]
