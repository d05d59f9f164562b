"""The audit log: a chain of records, each sealed with the hash of the one before it and a key outside the database."""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Any, Final, LiteralString

import msgspec
import orjson

from chamberlain.store.tx import Read, Row, Write

CALLED: Final = "called"
DRY_RUN: Final = "dry_run"

_INDEXED: Final = ("actor", "target")
_OF_ACTOR: Final = frozenset(("actor", "address", "user_agent"))
_OF_TARGET: Final = frozenset(("target", "request", "reason", "message"))
"""What is personal to whoever acted, and to whom it was done."""

Fields = Mapping[str, tuple[str, str]]
"""Personal fields by their names: salt and clear text."""

FIRST_HASH: Final = bytes(32)
"""What the first record has for the hash of the one before it."""


class NewRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A record to be appended. `call` is the number of the call that it is the outcome of; `at` is in ms.

    The `outcome` of a call that is yet to run is CALLED or DRY_RUN.

    `fields` are the personal ones, each with the salt of its hash.
    """

    call: int | None = None
    at: int
    operation: str
    facade: str
    outcome: str
    job_id: str | None = None
    fields: Fields


class Record(msgspec.Struct, frozen=True):
    """A record as it is kept; `fields` has those personal ones that were not shredded, with their salts."""

    number: int
    call: int | None
    at: int
    operation: str
    facade: str
    outcome: str
    job_id: str | None
    commitments: str
    hash: bytes
    mac: bytes
    fields: Fields


class Call(msgspec.Struct, frozen=True):
    """A call and its outcome; the outcome is None while it runs, or when a crash cut it off."""

    number: int
    at: int
    operation: str
    facade: str
    dry_run: bool
    outcome: str | None
    finished_at: int | None
    job_id: str | None
    fields: Mapping[str, str]


def commit_to(salt: str, field: str, value: str) -> str:
    """The salted hash that stands for a personal field in the chain."""
    return hashlib.sha256(orjson.dumps([salt, field, value])).hexdigest()


def hash_of(
    before: bytes,
    number: int,
    call: int | None,
    at: int,
    operation: str,
    facade: str,
    outcome: str,
    job_id: str | None,
    commitments: str,
) -> bytes:
    """The hash of a record that follows one with the hash `before`."""
    text = orjson.dumps([number, call, at, operation, facade, outcome, job_id, commitments])
    return hashlib.sha256(before + text).digest()


def mac_of(key: bytes, hash_: bytes) -> bytes:
    """The seal of a record's hash."""
    return hmac.digest(key, hash_, "sha256")


async def append(tx: Write, items: Sequence[tuple[NewRecord, bytes]]) -> list[int]:
    """Append records, each sealed with the key beside it, and give their numbers.

    Appending transactions wait for one another up to their commits.
    """
    last: int = await tx.value(
        "UPDATE sequences SET value = value + :count WHERE name = 'audit' RETURNING value", count=len(items)
    )
    first = last - len(items) + 1
    before = await tx.value("SELECT hash FROM audit_records WHERE number = :number", number=first - 1)
    rows = []
    for number, (record, key) in enumerate(items, first):
        rows.append(_sealed(record, number, before or FIRST_HASH, key))
        before = rows[-1]["hash"]
    await tx.many(
        "INSERT INTO audit_records (number, call, at, operation, facade, outcome, job_id, commitments, hash, mac,"
        " actor, target, personal) VALUES (:number, :call, :at, :operation, :facade, :outcome, :job_id,"
        " :commitments, :hash, :mac, :actor, :target, :personal)",
        rows,
    )
    return list(range(first, last + 1))


def _sealed(record: NewRecord, number: int, before: bytes, key: bytes) -> dict[str, Any]:
    commitments = orjson.dumps(
        {field: commit_to(salt, field, value) for field, (salt, value) in record.fields.items()},
        option=orjson.OPT_SORT_KEYS,
    ).decode()
    row: dict[str, Any] = {
        "number": number,
        "call": record.call,
        "at": record.at,
        "operation": record.operation,
        "facade": record.facade,
        "outcome": record.outcome,
        "job_id": record.job_id,
        "commitments": commitments,
    }
    sealed = hash_of(before, **row)
    return {**row, **_in_columns(record.fields), "hash": sealed, "mac": mac_of(key, sealed)}


def _in_columns(fields: Fields) -> dict[str, Any]:
    """The clear text as the columns `actor`, `target` and `personal` have it."""
    if not fields:
        return {"actor": None, "target": None, "personal": b"{}"}
    columns = {name: fields[name][1] if name in fields else None for name in _INDEXED}
    personal = {name: (salt, None if name in _INDEXED else text) for name, (salt, text) in fields.items()}
    return {**columns, "personal": orjson.dumps(personal)}


def _from_columns(actor: str | None, target: str | None, personal: bytes) -> dict[str, tuple[str, str]]:
    """The clear text that `_in_columns` put there."""
    columns = {"actor": actor, "target": target}
    found = {}
    for name, (salt, text) in orjson.loads(personal).items():
        found[name] = (salt, (columns[name] or "") if name in columns else text)
    return found


async def count_given(tx: Read) -> int:
    """Give how many records were ever appended: the number of the newest one."""
    count: int = await tx.value("SELECT value FROM sequences WHERE name = 'audit'")
    return count


async def list_records(tx: Read, after: int, limit: int) -> list[Record]:
    """Give at most `limit` records behind the number `after`, in order."""
    rows = await tx.all(
        "SELECT number, call, at, operation, facade, outcome, job_id, commitments, hash, mac, actor, target, personal"
        " FROM audit_records WHERE number > :after ORDER BY number LIMIT :limit",
        after=after,
        limit=limit,
    )
    return [_record(*row) for row in rows]


def _record(*row: Any) -> Record:
    *head, actor, target, personal = row
    number, call, at, operation, facade, outcome, job_id, commitments, hash_, mac = head
    fields = _from_columns(actor, target, personal)
    return Record(number, call, at, operation, facade, outcome, job_id, commitments, hash_, mac, fields)


async def list_calls(
    tx: Read,
    *,
    before: int,
    limit: int,
    operation: str | None = None,
    actor: str | None = None,
    target: str | None = None,
    outcome: str | None = None,
    since: int = 0,
    until: int = 2**62,
) -> list[Call]:
    """Give at most `limit` calls with numbers below `before`, the newest first, that fit every filter given."""
    rows = await tx.all(
        "SELECT c.number, c.at, c.operation, c.facade, c.outcome, o.at, o.outcome, o.job_id,"
        " c.actor, c.target, c.personal, o.personal"
        " FROM audit_records c LEFT JOIN audit_records o ON o.call = c.number"
        " WHERE c.call IS NULL AND c.number < :before AND c.at >= :since AND c.at < :until"
        " AND (CAST(:operation AS TEXT) IS NULL OR c.operation = :operation)"
        " AND (CAST(:outcome AS TEXT) IS NULL OR COALESCE(o.outcome, c.outcome) = :outcome)"
        " AND (CAST(:actor AS TEXT) IS NULL OR c.actor = :actor)"
        " AND (CAST(:target AS TEXT) IS NULL OR c.target = :target)"
        " ORDER BY c.number DESC LIMIT :limit",
        before=before,
        limit=limit,
        operation=operation,
        actor=actor,
        target=target,
        outcome=outcome,
        since=since,
        until=until,
    )
    return [_call(row) for row in rows]


def _call(row: Row) -> Call:
    number, at, operation, facade, mode, finished_at, outcome, job_id, actor, target, personal, of_end = row
    if mode not in (CALLED, DRY_RUN):
        outcome, finished_at = mode, at
    kept = _from_columns(actor, target, personal)
    if of_end is not None:
        kept |= _from_columns(None, None, of_end)
    clear = {field: text for field, (_, text) in kept.items()}
    return Call(number, at, operation, facade, mode == DRY_RUN, outcome, finished_at, job_id, clear)


async def shred(tx: Write, user_id: str) -> int:
    """Delete what the log says of a user in clear text and give how many fields that were; the chain holds on."""
    deleted = await _shred(tx, "actor", _OF_ACTOR, user_id)
    return deleted + await _shred(tx, "target", _OF_TARGET, user_id)


async def _shred(tx: Write, role: LiteralString, names: frozenset[str], user_id: str) -> int:
    columns: LiteralString = "number, actor, target, personal FROM audit_records"
    calls = await tx.all("SELECT " + columns + " WHERE " + role + " = :user_id", user_id=user_id)
    ends = await tx.all("SELECT " + columns + " WHERE call = ANY(:calls)", calls=[row[0] for row in calls])
    deleted, rows = 0, []
    for number, *clear in (*calls, *ends):
        fields = _from_columns(*clear)
        kept = {name: value for name, value in fields.items() if name not in names}
        deleted += len(fields) - len(kept)
        rows.append({"number": number, **_in_columns(kept)})
    await tx.many(
        "UPDATE audit_records SET actor = :actor, target = :target, personal = :personal WHERE number = :number",
        rows,
    )
    return deleted
