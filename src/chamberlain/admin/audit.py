"""The audit log: who did what to whom, from where and why, and what came of it."""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from chamberlain.runtime.clock import Clock
from chamberlain.runtime.log import get_logger
from chamberlain.runtime.rng import Rng
from chamberlain.store import audit
from chamberlain.store.audit import FIRST_HASH, NewRecord, Record
from chamberlain.store.database import Database

KEY_BYTES = 32
SALT_BYTES = 16
PAGE = 500
MAX_PROBLEMS = 100

_log = get_logger("audit")


class Problem(msgspec.Struct, frozen=True):
    """What is wrong with the log, and where."""

    number: int
    problem: str


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """What looking at every record has found. `shredded` counts personal fields that were deleted."""

    ok: bool
    records: int
    shredded: int
    problems: list[Problem]


class AuditLog:
    """Appends to the log, and looks for what was changed behind its back."""

    def __init__(self, db: Database, clock: Clock, rng: Rng, key: bytes) -> None:
        """`key` seals the records; it is kept where who can change the database cannot read it."""
        self._db = db
        self._clock = clock
        self._rng = rng
        self._key = key

    async def note(self, operation: str, facade: str, outcome: str, fields: Mapping[str, str]) -> None:
        """Write a call that only read something, and its outcome."""
        await self._append(operation, facade, outcome, fields)

    async def begin(self, operation: str, facade: str, fields: Mapping[str, str], *, dry_run: bool) -> int:
        """Write that a call begins and give the number of its record, in a transaction of its own."""
        mode = audit.DRY_RUN if dry_run else audit.CALLED
        return await self._append(operation, facade, mode, fields)

    async def end(
        self, call: int, operation: str, facade: str, outcome: str, message: str, job_id: str | None
    ) -> None:
        """Write what came of a call: `ok` or an errcode, the error's message, and the job that goes on with it."""
        fields = {"message": message} if message else {}
        await self._append(operation, facade, outcome, fields, call, job_id)

    async def _append(
        self,
        operation: str,
        facade: str,
        outcome: str,
        fields: Mapping[str, str],
        call: int | None = None,
        job_id: str | None = None,
    ) -> int:
        texts = [(field, text) for field, text in fields.items() if text]
        salts = self._rng.bytes(SALT_BYTES * len(texts)).hex()
        step = 2 * SALT_BYTES
        record = NewRecord(
            call=call,
            at=self._clock.now(),
            operation=operation,
            facade=facade,
            outcome=outcome,
            job_id=job_id,
            fields={
                field: (salts[place * step : (place + 1) * step], text)
                for place, (field, text) in enumerate(texts)
            },
        )
        return await self._db.write_batch(audit.append, (record, self._key))

    async def shred(self, user_id: str) -> int:
        """Delete what the log says of a user in clear text and give how many fields that were; the chain holds on."""
        return await self._db.write(audit.shred, user_id)

    async def verify(self) -> Verification:
        """Look at every record: its place, its hash, its seal, and the clear text beside it."""
        newest = await self._db.read(audit.count_given)
        check = _Check(self._key)
        while True:
            page = await self._db.snapshot(audit.list_records, check.number, PAGE)
            for record in page:
                check.look_at(record)
            if len(page) < PAGE:
                break
        if check.number < newest:
            check.add(newest, "The newest records are missing")
        if check.problems:
            _log.error("the audit log was changed", problems=len(check.problems))
        return Verification(
            ok=not check.problems,
            records=check.records,
            shredded=check.shredded,
            problems=check.problems[:MAX_PROBLEMS],
        )


class _Check:
    """Walks along the chain."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._before = FIRST_HASH
        self.number = 0
        self.records = 0
        self.shredded = 0
        self.problems: list[Problem] = []

    def add(self, number: int, problem: str) -> None:
        self.problems.append(Problem(number, problem))

    def look_at(self, record: Record) -> None:
        if record.number != self.number + 1:
            self.add(record.number, "The records before this one are missing")
        hash_ = audit.hash_of(
            self._before,
            record.number,
            record.call,
            record.at,
            record.operation,
            record.facade,
            record.outcome,
            record.job_id,
            record.commitments,
        )
        if hash_ != record.hash:
            self.add(record.number, "The record, or one before it, was changed")
        elif audit.mac_of(self._key, hash_) != record.mac:
            self.add(record.number, "The record was not sealed with the key of this server")
        self._look_at_fields(record)
        self._before = record.hash
        self.number = record.number
        self.records += 1

    def _look_at_fields(self, record: Record) -> None:
        try:
            commitments = msgspec.json.decode(record.commitments, type=dict[str, str])
        except msgspec.DecodeError:
            return  # the hash does not fit then, which has been told
        for field, (salt, value) in record.fields.items():
            if commitments.get(field) != audit.commit_to(salt, field, value):
                self.add(record.number, f"The field {field} was changed")
        self.shredded += len(commitments.keys() - record.fields.keys())


def load_key(path: Path, rng: Rng) -> bytes:
    """The key that seals the log, made when the file does not exist. Raises ValueError for a file that has none."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f"{path.name}.{rng.id(8)}")
        fresh.touch(mode=0o600)
        fresh.write_text(rng.bytes(KEY_BYTES).hex() + "\n")
        # Linked when it is whole, so that of workers that start together all read the same key.
        with suppress(FileExistsError):
            os.link(fresh, path)
        fresh.unlink()
    key = bytes.fromhex(path.read_text().strip())
    if len(key) != KEY_BYTES:
        raise ValueError(f"{path} has no key in it")
    return key
