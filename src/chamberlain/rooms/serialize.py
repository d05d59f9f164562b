"""Events as clients get them: the stored bytes, with `unsigned` put in (client-server API, Room event format).

Stored JSON is spliced, never parsed to be dumped again.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import orjson

from chamberlain.store.events import StoredEvent, list_stored
from chamberlain.store.tx import Read

_NOTHING: Final[Mapping[str, str]] = {}
_UNRELATED: Final[Mapping[str, bytes]] = {}


class Viewer(msgspec.Struct, frozen=True):
    """For whom events are written; `device` is the scope of their transaction ids."""

    user_id: str
    device: str | None = None


async def client_events(
    tx: Read,
    events: Sequence[StoredEvent],
    viewer: Viewer,
    now: int,
    memberships: Mapping[str, str] = _NOTHING,
    bundles: Mapping[str, bytes] = _UNRELATED,
) -> list[bytes]:
    """Give the JSON of each event as this viewer gets it at `now` (ms).

    `memberships`: the viewer's membership at the event, by event id, as far as it is known (`visible_events`).
    `bundles`: what relates to them, by event id (`bundled`).
    """
    extras = await load_extras(tx, events)
    for event_id, bundle in bundles.items():
        extras[event_id] = extras.get(event_id, b"") + bundle
    return [
        client_event(event, viewer, now, memberships.get(event.event_id), extras.get(event.event_id, b""))
        for event in events
    ]


def client_event(
    event: StoredEvent, viewer: Viewer, now: int, membership: str | None = None, extra: bytes = b""
) -> bytes:
    """Give the JSON of an event; `extra`: what `load_extras` found for it."""
    txn = b""
    if event.txn_id is not None and event.txn_device == viewer.device and event.sender == viewer.user_id:
        txn = b',"transaction_id":' + orjson.dumps(event.txn_id)
    if membership is not None:
        txn += _IN if membership == "join" else b',"membership":' + orjson.dumps(membership)
    age = max(now - event.origin_server_ts, 0)
    return b'%b,"unsigned":{"age":%d%b%b}}' % (event.client[:-1], age, txn, extra)


_IN: Final = b',"membership":"join"'


async def load_extras(tx: Read, events: Sequence[StoredEvent]) -> dict[str, bytes]:
    """Give what else belongs into `unsigned`, for every viewer alike, by event id: `,"key":value…`."""
    replaced = {event.event_id: event.replaces for event in events if event.replaces is not None}
    redacted = {event.event_id: event.redacted_by for event in events if event.redacted_by is not None}
    if not replaced and not redacted:
        return {}
    others = await list_stored(tx, {*replaced.values(), *redacted.values()})
    extras: dict[str, bytes] = {}
    for event_id, other_id in replaced.items():
        other = others.get(other_id)
        if other is not None:
            extras[event_id] = b',"replaces_state":%b,"prev_sender":%b,"prev_content":%b' % (
                orjson.dumps(other_id),
                orjson.dumps(other.sender),
                other.raw_content,
            )
    for event_id, other_id in redacted.items():
        other = others.get(other_id)
        if other is not None:
            redacted_by = b',"redacted_by":%b,"redacted_because":%b' % (orjson.dumps(other_id), other.client)
            extras[event_id] = extras.get(event_id, b"") + redacted_by
    return extras
