"""One-time and fallback keys: each one-time key is given out once (client-server API, One-time and fallback keys)."""

from collections import deque
from typing import NamedTuple

import orjson

from chamberlain.store import kinds
from chamberlain.store.tx import Read, Write

Device = tuple[str, str]
"""User id and device id."""
Wanted = tuple[str, str, str]
"""User id, device id, algorithm."""


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
    shelves = {(row[0], row[1]): _Shelf() for row in alive}
    await _load(tx, shelves, users, devices, batches)
    outcomes: list[Outcome] = []
    new_rows: list[dict[str, object]] = []
    fallbacks: dict[Wanted, dict[str, object]] = {}
    for batch in batches:
        device = (batch.user_id, batch.device_id)
        shelf = shelves.get(device)
        if shelf is None:
            outcomes.append(Outcome({}, no_device=True))
            continue
        taken = next((key.key_id for key in batch.one_time if shelf.differs(key)), None)
        if taken is None:
            rows = [shelf.add(device, key) for key in batch.one_time if not shelf.has(key)]
            new_rows.extend(rows)
            for key in batch.fallback:
                fallbacks[(*device, key.algorithm)] = _row(device, key)
            if rows or batch.fallback:
                tx.place(kinds.ONE_TIME_KEYS, *device)
        outcomes.append(Outcome(shelf.counts(), taken))
    await _insert(tx, new_rows, list(fallbacks.values()))
    return outcomes


class _Shelf:
    """The keys of one device, as far as an upload must know them."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, str], bytes] = {}
        self.number: dict[str, int] = {}
        self.last_turn: dict[str, int] = {}

    def has(self, key: NewKey) -> bool:
        return (key.algorithm, key.key_id) in self.known

    def differs(self, key: NewKey) -> bool:
        there = self.known.get((key.algorithm, key.key_id), key.key)
        return there != key.key and orjson.loads(there) != orjson.loads(key.key)

    def add(self, device: Device, key: NewKey) -> dict[str, object]:
        algorithm = key.algorithm
        self.known[algorithm, key.key_id] = key.key
        self.number[algorithm] = self.number.get(algorithm, 0) + 1
        self.last_turn[algorithm] = turn = self.last_turn.get(algorithm, 0) + 1
        return _row(device, key) | {"turn": turn}

    def counts(self) -> dict[str, int]:
        return dict(self.number)


def _row(device: Device, key: NewKey) -> dict[str, object]:
    user_id, device_id = device
    return {"user_id": user_id, "device_id": device_id, **key._asdict()}


async def _load(
    tx: Read, shelves: dict[Device, _Shelf], users: list[str], devices: list[str], batches: list[Batch]
) -> None:
    rows = await tx.all(
        "SELECT user_id, device_id, algorithm, count(*), max(turn) FROM one_time_keys"
        " WHERE user_id = ANY(:users) AND device_id = ANY(:devices) GROUP BY user_id, device_id, algorithm",
        users=users,
        devices=devices,
    )
    for user_id, device_id, algorithm, number, last_turn in rows:
        shelf = shelves.get((user_id, device_id))
        if shelf is not None:
            shelf.number[algorithm] = number
            shelf.last_turn[algorithm] = last_turn
    key_ids = {key.key_id for batch in batches for key in batch.one_time}
    if not rows or not key_ids:
        return
    rows = await tx.all(
        "SELECT user_id, device_id, algorithm, key_id, key FROM one_time_keys"
        " WHERE user_id = ANY(:users) AND device_id = ANY(:devices) AND key_id = ANY(:key_ids)",
        users=users,
        devices=devices,
        key_ids=sorted(key_ids),
    )
    for user_id, device_id, algorithm, key_id, key in rows:
        shelf = shelves.get((user_id, device_id))
        if shelf is not None:
            shelf.known[algorithm, key_id] = key


async def _insert(tx: Write, one_time: list[dict[str, object]], fallbacks: list[dict[str, object]]) -> None:
    await tx.many(
        "INSERT INTO one_time_keys (user_id, device_id, algorithm, turn, key_id, key)"
        " VALUES (:user_id, :device_id, :algorithm, :turn, :key_id, :key)",
        one_time,
    )
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
    taken: list[Given] = []
    for algorithm, devices in _by_algorithm(wanted).items():
        rows = await tx.all(
            "DELETE FROM one_time_keys WHERE algorithm = :algorithm AND (user_id, device_id, turn) IN ("
            "SELECT d.user_id, d.device_id, (SELECT min(k.turn) FROM one_time_keys k"
            " WHERE k.user_id = d.user_id AND k.device_id = d.device_id AND k.algorithm = :algorithm)"
            " FROM devices d WHERE d.user_id = ANY(:users) AND d.user_id || ' ' || d.device_id = ANY(:pairs))"
            " RETURNING user_id, device_id, algorithm, key_id, key",
            algorithm=algorithm,
            users=_users(devices),
            pairs=_pairs(devices),
        )
        taken.extend(Given(*row) for row in rows)
    return taken


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
        "SELECT algorithm, count(*) FROM one_time_keys"
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
