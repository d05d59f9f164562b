"""What follows from an event beside itself: memberships, the room's summary, relations, counts. Pure."""

from typing import Any, Final

import msgspec

from chamberlain.matrix.event_types import MEMBER
from chamberlain.matrix.events import Event, client_skeleton
from chamberlain.matrix.ids import find_server_of
from chamberlain.matrix.types import text_of
from chamberlain.rooms.pipeline.chain import Chain
from chamberlain.rooms.pipeline.head import Stored
from chamberlain.store.commit import EventWrite

MAIN: Final = "main"
_SUMMARY: Final = {
    "m.room.name": ("name", "name"),
    "m.room.topic": ("topic", "topic"),
    "m.room.avatar": ("avatar_url", "url"),
    "m.room.canonical_alias": ("canonical_alias", "alias"),
    "m.room.join_rules": ("join_rule", "join_rule"),
    "m.room.history_visibility": ("history_visibility", "history_visibility"),
    "m.room.guest_access": ("guest_access", "guest_access"),
    "m.room.encryption": ("encryption", "algorithm"),
    "m.room.tombstone": ("tombstone", "replacement_room"),
}


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
) -> None:
    """Add the event and all that follows from it to the chain.

    `txn`: (device, transaction id); `thread`: the root of the thread that the event is in.
    """
    event = stored.event
    relation = relation_of(event) or (None, None, None)
    before = (chain.head.line, chain.ver)
    _count(chain, notified, in_thread=thread is not None)
    chain.follow(stored)
    client = client_skeleton(event)
    replaces = previous.event.event_id if previous is not None else None
    write = EventWrite(
        row=_row(chain, stored, before, relation, thread, notified, client, replaces, received_at, txn),
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
        ),
    )
    for user_id, notify, highlight, actions in notified.users:
        write.notifications.append(
            {
                "user_id": user_id,
                "room_id": event.room_id,
                "event_id": event.event_id,
                "thread": thread or MAIN,
                "notify": notify,
                "highlight": highlight,
                "actions": actions.decode(),
            }
        )
    if event.state_key is not None:
        write.state_key = (event.type, event.state_key)
        _summarize(chain, event, is_new=previous is None)
        if event.type == MEMBER:
            _member(chain, write, event, previous, server_name)
    chain.writes.append(write)


def _row(
    chain: Chain,
    stored: Stored,
    before: tuple[int, int],
    relation: tuple[str | None, str | None, str | None],
    thread: str | None,
    notified: Notified,
    client: bytes,
    replaces: str | None,
    received_at: int,
    txn: tuple[str, str] | None,
) -> dict[str, Any]:
    event = stored.event
    is_state = event.state_key is not None
    notify_count, highlight_count, thread_notify_count = chain.counts
    return {
        "nid": stored.nid,
        "event_id": event.event_id,
        "room_id": event.room_id,
        "depth": event.depth,
        "type": event.type,
        "state_key": event.state_key,
        "sender": event.sender,
        "origin_server_ts": event.origin_server_ts,
        "received_at": received_at,
        "before_line": before[0],
        "before_ver": before[1],
        "after_line": before[0] if is_state else None,
        "after_ver": before[1] + 1 if is_state else None,
        "auth_height": stored.height,
        "rejected": None,
        "soft_failed": False,
        "redacted_by": None,
        "replaces": replaces,
        "relates_to": relation[0],
        "rel_type": relation[1],
        "rel_key": relation[2],
        "thread": thread,
        "contains_url": isinstance(event.content.get("url"), str),
        "notifies": notified.notify_all,
        "highlights": notified.highlight_all,
        "notify_count": notify_count,
        "highlight_count": highlight_count,
        "thread_notify_count": thread_notify_count,
        "outgoing": True,
        "txn_device": txn[0] if txn else None,
        "txn_id": txn[1] if txn else None,
        "pdu": event.pdu,
        "client": client,
    }


def _count(chain: Chain, notified: Notified, *, in_thread: bool) -> None:
    notify, highlight, threads = chain.counts
    if in_thread:
        threads += notified.notify_all
    else:
        notify += notified.notify_all
        highlight += notified.highlight_all
    chain.counts = (notify, highlight, threads)


def _summarize(chain: Chain, event: Event, *, is_new: bool) -> None:
    chain.summary_changed = chain.summary_changed or is_new
    if is_new:
        chain.summary["state_events"] += 1
    column = _SUMMARY.get(event.type)
    if column is not None and event.state_key == "":
        chain.summary[column[0]] = text_of(event.content, column[1])
        chain.summary_changed = True
    elif event.type == "m.room.create":
        chain.summary["room_type"] = text_of(event.content, "type")
        chain.summary["federatable"] = event.content.get("m.federate") is not False


def take_back(chain: Chain, redacted: Event) -> None:
    """Have the room's summary say no more than what is left of a piece of current state that was redacted."""
    column = _SUMMARY.get(redacted.type)
    if column is not None and redacted.state_key == "":
        chain.summary[column[0]] = text_of(redacted.content, column[1])
        chain.summary_changed = True


def _member(chain: Chain, write: EventWrite, event: Event, previous: Stored | None, server_name: str) -> None:
    user_id = event.state_key or ""
    membership = text_of(event.content, "membership") or "leave"
    was = text_of(previous.event.content, "membership") if previous is not None else None
    server = find_server_of(user_id)
    local = server == server_name
    if was != membership:
        for name in ("join", "invite"):
            step = (membership == name) - (was == name)
            chain.summary["joined" if name == "join" else "invited"] += step
            if name == "join" and local:
                chain.summary["local_joined"] += step
        chain.summary_changed = True
        if local:
            write.local_member = user_id
    write.membership = {
        "room_id": event.room_id,
        "user_id": user_id,
        "membership": membership,
        "local": local,
        "server": None if local else server,
        "event_id": event.event_id,
        "sender": event.sender,
        "display_name": text_of(event.content, "displayname"),
        "avatar_url": text_of(event.content, "avatar_url"),
    }
