"""What follows from an event beside itself: memberships, the room's summary, relations, counts. Pure."""

from typing import Any, Final

import msgspec

from chamberlain.matrix.event_types import MEMBER
from chamberlain.matrix.events import Event, client_skeleton
from chamberlain.matrix.ids import find_server_of
from chamberlain.matrix.types import text_of
from chamberlain.rooms.pipeline.chain import Chain
from chamberlain.rooms.pipeline.head import Stored
from chamberlain.rooms.pipeline.summary import count_member, membership_in, membership_row, summarize
from chamberlain.store.commit import EventWrite

MAIN: Final = "main"
MAX_DEPTH: Final = 2**53 - 1


class Arrived(msgspec.Struct, frozen=True, gc=False):
    """An event as those who follow the change stream of this process get it."""

    event: Event
    nid: int
    client: bytes
    """The client form without `unsigned`."""
    replaces: str | None
    """The state event whose place it took."""
    notify_all: bool
    highlight_all: bool
    txn_device: str | None
    txn_id: str | None
    received_at: int
    thread: str | None
    """The root of the thread that it belongs to."""
    notified: tuple[tuple[str, bool, bool, bytes], ...]
    """As in `Notified.users`."""
    outgoing: bool = True
    """Whether this server tells the others of it."""


class Notified(msgspec.Struct, frozen=True):
    """What the push rules say of an event: for all without own rules, and for single users."""

    notify_all: bool = False
    highlight_all: bool = False
    users: tuple[tuple[str, bool, bool, bytes], ...] = ()
    """(user id, notify, highlight, actions as JSON)."""


def relation_of(event: Event) -> tuple[str, str, str | None] | None:
    """The event that this one relates to, how, and the key of an annotation."""
    relates = event.content.get("m.relates_to")
    if not isinstance(relates, dict):
        return None
    target, kind = text_of(relates, "event_id"), text_of(relates, "rel_type")
    if target is None or kind is None:
        return None
    return target, kind, text_of(relates, "key")


def follow_from(
    chain: Chain,
    stored: Stored,
    previous: Stored | None,
    notified: Notified,
    *,
    server_name: str,
    received_at: int,
    txn: tuple[str, str] | None,
    thread: str | None,
    outgoing: bool = True,
    is_known: bool = False,
) -> None:
    """Add the event and all that follows from it to the chain.

    `txn`: (device, transaction id); `thread`: the root of the thread that the event is in; `outgoing`: this server
    tells the others of it; `is_known`: it is here as an outlier.
    """
    event = stored.event
    before = (chain.head.line, chain.ver)
    reach = min(chain.reach, MAX_DEPTH)
    count(chain, notified, in_thread=thread is not None)
    chain.follow(stored)
    client = client_skeleton(event)
    replaces = previous.event.event_id if previous is not None else None
    row = plain_row(stored, client, received_at)
    row["reach"] = reach if row["depth"] < reach else None
    _place(row, chain, before, notified, replaces=replaces, thread=thread, outgoing=outgoing, txn=txn)
    write = EventWrite(
        row=row,
        is_known=is_known,
        payload=Arrived(
            event,
            stored.nid,
            client,
            replaces,
            notified.notify_all,
            notified.highlight_all,
            txn[0] if txn else None,
            txn[1] if txn else None,
            received_at,
            thread,
            notified.users,
            outgoing,
        ),
    )
    write.notifications = notification_rows(event, notified, thread)
    if event.state_key is not None:
        write.state_key = (event.type, event.state_key)
        if summarize(chain.summary, event, is_new=previous is None):
            chain.summary_changed = True
        if event.type == MEMBER:
            _member(chain, write, event, previous, server_name)
    chain.writes.append(write)


def notification_rows(event: Event, notified: Notified, thread: str | None) -> list[dict[str, Any]]:
    """The rows for those whom an event notifies in another way than all."""
    return [
        {
            "user_id": user_id,
            "room_id": event.room_id,
            "event_id": event.event_id,
            "thread": thread or MAIN,
            "notify": notify,
            "highlight": highlight,
            "actions": actions.decode(),
        }
        for user_id, notify, highlight, actions in notified.users
    ]


def plain_row(stored: Stored, client: bytes, received_at: int) -> dict[str, Any]:
    """The columns of an event as long as it has no place in the room."""
    event = stored.event
    relation = relation_of(event) or (None, None, None)
    return {
        "nid": stored.nid,
        "event_id": event.event_id,
        "room_id": event.room_id,
        "position": None,
        # Of other servers it may be anything that fits; pages are cut by it.
        "depth": min(event.depth, MAX_DEPTH),
        "type": event.type,
        "state_key": event.state_key,
        "sender": event.sender,
        "origin_server_ts": event.origin_server_ts,
        "received_at": received_at,
        "before_line": None,
        "before_ver": None,
        "after_line": None,
        "after_ver": None,
        "auth_height": stored.height,
        "rejected": None,
        "soft_failed": False,
        "redacted_by": None,
        "replaces": None,
        "relates_to": relation[0],
        "rel_type": relation[1],
        "rel_key": relation[2],
        "thread": None,
        "contains_url": isinstance(event.content.get("url"), str),
        "notifies": False,
        "highlights": False,
        "notify_count": 0,
        "highlight_count": 0,
        "thread_notify_count": 0,
        "outgoing": False,
        "txn_device": None,
        "txn_id": None,
        "after_gap": False,
        "reach": None,
        "pdu": event.pdu,
        "client": client,
    }


def _place(
    row: dict[str, Any],
    chain: Chain,
    before: tuple[int, int],
    notified: Notified,
    *,
    replaces: str | None,
    thread: str | None,
    outgoing: bool,
    txn: tuple[str, str] | None,
) -> None:
    """Give the row its place in the room, at the end of the chain."""
    is_state = row["state_key"] is not None
    row["before_line"], row["before_ver"] = before
    row["after_line"] = before[0] if is_state else None
    row["after_ver"] = before[1] + 1 if is_state else None
    row["replaces"], row["thread"], row["outgoing"] = replaces, thread, outgoing
    row["notifies"], row["highlights"] = notified.notify_all, notified.highlight_all
    row["notify_count"], row["highlight_count"], row["thread_notify_count"] = chain.counts
    row["txn_device"], row["txn_id"] = txn or (None, None)


def count(chain: Chain, notified: Notified, *, in_thread: bool) -> None:
    """Have the room's counts go up by what an event notifies of."""
    notify, highlight, threads = chain.counts
    if in_thread:
        threads += notified.notify_all
    else:
        notify += notified.notify_all
        highlight += notified.highlight_all
    chain.counts = (notify, highlight, threads)


def _member(chain: Chain, write: EventWrite, event: Event, previous: Stored | None, server_name: str) -> None:
    membership = membership_in(event)
    was = membership_in(previous.event) if previous is not None else None
    local = find_server_of(event.state_key or "") == server_name
    if was != membership:
        count_member(chain.summary, was, membership, local=local)
        chain.summary_changed = True
        if local:
            write.local_member = event.state_key
    write.membership = membership_row(event, local=local)
