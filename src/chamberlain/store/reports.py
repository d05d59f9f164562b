"""What users reported: events, rooms and other users."""

from typing import Literal

import msgspec

from chamberlain.store.sequences import advance
from chamberlain.store.tx import Read, Row, Write

Kind = Literal["event", "room", "user"]


class NewReport(msgspec.Struct, frozen=True, kw_only=True):
    """A report as it is made; `at` in ms.

    `user_id` is the sender of the reported event, or the reported user; `score` what older clients send, -100 (bad)
    to 0.
    """

    kind: Kind
    at: int
    reporter: str
    room_id: str | None = None
    event_id: str | None = None
    user_id: str | None = None
    reason: str | None = None
    score: int | None = None


class Report(NewReport, frozen=True, kw_only=True):
    """A report that is kept."""

    report_id: int


async def add(tx: Write, report: NewReport) -> int:
    """Keep a report and give its number."""
    report_id = await advance(tx, "report", 1)
    await tx.run(
        "INSERT INTO reports (report_id, kind, at, reporter, room_id, event_id, user_id, reason, score)"
        " VALUES (:report_id, :kind, :at, :reporter, :room_id, :event_id, :user_id, :reason, :score)",
        report_id=report_id,
        kind=report.kind,
        at=report.at,
        reporter=report.reporter,
        room_id=report.room_id,
        event_id=report.event_id,
        user_id=report.user_id,
        reason=report.reason,
        score=report.score,
    )
    return report_id


async def find(tx: Read, kind: Kind, report_id: int) -> Report | None:
    """Give one report, or None."""
    row = await tx.one(
        "SELECT kind, at, reporter, room_id, event_id, user_id, reason, score, report_id FROM reports"
        " WHERE report_id = :report_id AND kind = :kind",
        report_id=report_id,
        kind=kind,
    )
    return None if row is None else _report(row)


async def list_page(
    tx: Read,
    kind: Kind,
    *,
    skip: int,
    limit: int,
    newest_first: bool = True,
    reporter: str | None = None,
    room_id: str | None = None,
    user_id: str | None = None,
) -> list[Report]:
    """Give a page of the reports of one kind; `reporter`, `room_id` and `user_id` narrow it down to equal ones."""
    rows = await tx.all(
        "SELECT kind, at, reporter, room_id, event_id, user_id, reason, score, report_id FROM reports"
        " WHERE kind = :kind AND (CAST(:reporter AS TEXT) IS NULL OR reporter = :reporter)"
        " AND (CAST(:room_id AS TEXT) IS NULL OR room_id = :room_id)"
        " AND (CAST(:user_id AS TEXT) IS NULL OR user_id = :user_id)"
        f" ORDER BY report_id {'DESC' if newest_first else 'ASC'} LIMIT :limit OFFSET :skip",
        kind=kind,
        reporter=reporter,
        room_id=room_id,
        user_id=user_id,
        limit=limit,
        skip=skip,
    )
    return [_report(row) for row in rows]


async def count(
    tx: Read,
    kind: Kind,
    *,
    reporter: str | None = None,
    room_id: str | None = None,
    user_id: str | None = None,
) -> int:
    """Count the reports that `list_page` would give."""
    total: int = await tx.value(
        "SELECT COUNT(*) FROM reports WHERE kind = :kind"
        " AND (CAST(:reporter AS TEXT) IS NULL OR reporter = :reporter)"
        " AND (CAST(:room_id AS TEXT) IS NULL OR room_id = :room_id)"
        " AND (CAST(:user_id AS TEXT) IS NULL OR user_id = :user_id)",
        kind=kind,
        reporter=reporter,
        room_id=room_id,
        user_id=user_id,
    )
    return total


async def delete(tx: Write, kind: Kind, report_id: int) -> bool:
    """Forget a report; False where there is none."""
    return bool(
        await tx.run(
            "DELETE FROM reports WHERE report_id = :report_id AND kind = :kind",
            report_id=report_id,
            kind=kind,
        )
    )


def _report(row: Row) -> Report:
    kind, at, reporter, room_id, event_id, user_id, reason, score, report_id = row
    return Report(
        report_id=report_id,
        kind=kind,
        at=at,
        reporter=reporter,
        room_id=room_id,
        event_id=event_id,
        user_id=user_id,
        reason=reason,
        score=score,
    )
