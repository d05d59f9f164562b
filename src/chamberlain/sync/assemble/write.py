"""From blocks to the JSON of an answer; events are put in as the bytes they are."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import orjson

from chamberlain.accounts.push_rules import content_of
from chamberlain.matrix.filters import EventFilter
from chamberlain.store.account_data import PUSH_RULES, AccountData
from chamberlain.store.receipts import UNTHREADED, Receipt
from chamberlain.store.unread import Count, Unread
from chamberlain.sync.assemble.block import Ask, Block, Loaded

_TYPING: Final = "m.typing"
_RECEIPT: Final = "m.receipt"


def write_rooms(ask: Ask, loaded: Loaded) -> dict[str, Any]:
    """The `rooms` of an answer."""
    join = {room_id: _joined(ask, block) for room_id, block in loaded.joined.items() if not block.is_empty}
    invite = {room_id: {"invite_state": _events(state)} for room_id, state in loaded.invited.items()}
    knock = {room_id: {"knock_state": _events(state)} for room_id, state in loaded.knocked.items()}
    leave = {room_id: _left(ask, block) for room_id, block in loaded.left.items()}
    sections = {"join": join, "invite": invite, "knock": knock, "leave": leave}
    return {name: rooms for name, rooms in sections.items() if rooms}


def write_account_data(user_id: str, pieces: Iterable[AccountData], wanted: EventFilter) -> list[Any]:
    """Account data as events."""
    return [
        {"type": piece.type, "content": _content(user_id, piece)}
        for piece in pieces
        if wanted.matches(piece.type, user_id)
    ]


def _content(user_id: str, piece: AccountData) -> Any:
    if piece.type == PUSH_RULES and not piece.room_id:
        return content_of(user_id, piece.content)
    return orjson.Fragment(piece.content)


def _joined(ask: Ask, block: Block) -> dict[str, Any]:
    room: dict[str, Any] = {
        "summary": _summary(ask, block),
        **_timeline_and_state(ask, block),
        "ephemeral": {"events": _ephemeral(ask, block)},
        "account_data": {
            "events": write_account_data(ask.user_id, block.account_data, ask.filter.room.account_data)
        },
    }
    if block.unread is not None:
        _add_unread(ask, room, block.unread)
    return room


def _left(ask: Ask, block: Block) -> dict[str, Any]:
    account_data = write_account_data(ask.user_id, block.account_data, ask.filter.room.account_data)
    return {**_timeline_and_state(ask, block), "account_data": {"events": account_data}}


def _timeline_and_state(ask: Ask, block: Block) -> dict[str, Any]:
    timeline: dict[str, Any] = {**_events(block.timeline), "limited": block.limited}
    if block.prev_batch is not None:
        timeline["prev_batch"] = block.prev_batch
    return {"state_after" if ask.state_after else "state": _events(block.state), "timeline": timeline}


def _events(events: Sequence[bytes]) -> dict[str, Any]:
    return {"events": [orjson.Fragment(event) for event in events]}


def _summary(ask: Ask, block: Block) -> dict[str, Any]:
    known = block.facts
    if known is None:
        return {}
    summary: dict[str, Any] = {
        "m.joined_member_count": known.joined,
        "m.invited_member_count": known.invited,
    }
    if not known.is_named:
        summary["m.heroes"] = known.heroes_for(ask.user_id)
    return summary


def _add_unread(ask: Ask, room: dict[str, Any], unread: Unread) -> None:
    if ask.filter.room.timeline.unread_thread_notifications:
        room["unread_notifications"] = _count(unread.main)
        threads = {thread: _count(count) for thread, count in unread.threads.items() if count}
        if threads:
            room["unread_thread_notifications"] = threads
        return
    counts = (unread.main, *unread.threads.values())
    room["unread_notifications"] = {
        "notification_count": sum(count.notify for count in counts),
        "highlight_count": sum(count.highlight for count in counts),
    }


def _count(count: Count) -> dict[str, int]:
    return {"notification_count": count.notify, "highlight_count": count.highlight}


def _ephemeral(ask: Ask, block: Block) -> list[Any]:
    wanted = ask.filter.room.ephemeral
    events: list[Any] = []
    if block.receipts and wanted.wants_type(_RECEIPT):
        events.extend({"type": _RECEIPT, "content": content} for content in receipt_contents(block.receipts))
    if block.typing is not None and wanted.wants_type(_TYPING):
        events.append({"type": _TYPING, "content": {"user_ids": list(block.typing)}})
    return events


def receipt_contents(receipts: Iterable[Receipt]) -> list[dict[str, Any]]:
    """Receipts as contents of m.receipt events: one, or more where a user has two for the same event.

    The first one has what is of no thread: clients that know no threads look no further.
    """
    contents: list[dict[str, Any]] = []
    # Of a receipt that moved on several times only the furthest counts; they come in any order.
    newest = {
        (one.user_id, one.type, one.thread): one
        for one in sorted(receipts, key=lambda one: one.event_position)
    }
    for receipt in sorted(newest.values(), key=lambda one: one.thread != UNTHREADED):
        value: dict[str, Any] = {"ts": receipt.ts}
        if receipt.thread != UNTHREADED:
            value["thread_id"] = receipt.thread
        for content in contents:
            users = content.setdefault(receipt.event_id, {}).setdefault(receipt.type, {})
            if receipt.user_id not in users:
                users[receipt.user_id] = value
                break
        else:
            contents.append({receipt.event_id: {receipt.type: {receipt.user_id: value}}})
    return contents
