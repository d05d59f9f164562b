"""What relates to events, told with them (client-server API, Aggregations of child events).

Edits, threads and references are bundled, not with state events; what the viewer may not see or comes from those
whom they ignore is left out.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import orjson

from chamberlain.matrix.types import JsonObject
from chamberlain.rooms.serialize import Viewer, client_events
from chamberlain.rooms.visible import Seen, visible_events
from chamberlain.store import account_data, relations
from chamberlain.store.account_data import IGNORED_USERS
from chamberlain.store.events import StoredEvent, list_by_nid
from chamberlain.store.relations import Thread
from chamberlain.store.tx import Read

REPLACE: Final = "m.replace"
THREAD: Final = "m.thread"
REFERENCE: Final = "m.reference"
_ENCRYPTED: Final = "m.room.encrypted"


async def seen_as_json(tx: Read, seen: Sequence[Seen], viewer: Viewer, now: int) -> list[bytes]:
    """Give the JSON of events that the viewer may see, with what relates to them."""
    events = [one.event for one in seen]
    return await client_events(
        tx,
        events,
        viewer,
        now,
        {one.event.event_id: one.membership for one in seen},
        await bundled(tx, events, viewer, now),
    )


async def bundled(
    tx: Read, events: Sequence[StoredEvent], viewer: Viewer, now: int, *, in_thread: bool = False
) -> dict[str, bytes]:
    """Give `,"m.relations":{…}` for those of the events that others relate to, by event id.

    `in_thread`: these are the newest events of threads, which have no threads of their own.
    """
    parents = {event.event_id: event for event in events if event.state_key is None}
    kinds = await relations.bundled_kinds(tx, parents) if parents else {}
    if in_thread:
        kinds.pop(THREAD, None)
    if not kinds:
        return {}
    ignored = await ignored_by(tx, viewer.user_id)
    parts: dict[str, list[bytes]] = {}
    if REPLACE in kinds:
        for event_id, edit in (await _edits(tx, kinds[REPLACE], viewer, now)).items():
            parts.setdefault(event_id, []).append(b'"m.replace":' + edit)
    if THREAD in kinds:
        for event_id, thread in (await _threads(tx, kinds[THREAD], viewer, now, ignored)).items():
            parts.setdefault(event_id, []).append(b'"m.thread":' + thread)
    if REFERENCE in kinds:
        for event_id, chunk in (await relations.references_to(tx, kinds[REFERENCE], ignored)).items():
            listed = orjson.dumps({"chunk": [{"event_id": child} for child in chunk]})
            parts.setdefault(event_id, []).append(b'"m.reference":' + listed)
    return {event_id: b',"m.relations":{%b}' % b",".join(found) for event_id, found in parts.items()}


async def ignored_by(tx: Read, user_id: str) -> list[str]:
    """Give the users whom the user ignores."""
    content = await account_data.find(tx, user_id, "", IGNORED_USERS)
    found: JsonObject = {} if content is None else orjson.loads(content)
    ignored = found.get("ignored_users")
    return [name for name in ignored if name != user_id] if isinstance(ignored, dict) else []


async def _edits(tx: Read, event_ids: set[str], viewer: Viewer, now: int) -> dict[str, bytes]:
    newest = await relations.newest_edits(tx, event_ids)
    events = await list_by_nid(tx, newest.values())
    chosen: dict[str, StoredEvent] = {}
    for event_id, nid in newest.items():
        edit: StoredEvent | None = events[nid]
        if edit is not None and not _says_what(edit):
            edit = next(filter(_says_what, await relations.list_edits(tx, event_id)), None)
        if edit is not None:
            chosen[event_id] = edit
    return await _as_json(tx, chosen, viewer, now)


def _says_what(edit: StoredEvent) -> bool:
    return edit.type == _ENCRYPTED or isinstance(edit.content.get("m.new_content"), dict)


async def _as_json(
    tx: Read,
    events: Mapping[str, StoredEvent],
    viewer: Viewer,
    now: int,
    *,
    with_relations: bool = False,
) -> dict[str, bytes]:
    """The JSON of those of the events that the viewer may see, under the same keys."""
    seen = await visible_events(tx, list(events.values()), viewer.user_id)
    shown = [one.event for one in seen]
    forms = await client_events(
        tx,
        shown,
        viewer,
        now,
        {one.event.event_id: one.membership for one in seen},
        await bundled(tx, shown, viewer, now, in_thread=True) if with_relations else {},
    )
    by_id = {event.event_id: form for event, form in zip(shown, forms, strict=True)}
    return {key: by_id[event.event_id] for key, event in events.items() if event.event_id in by_id}


async def _threads(
    tx: Read, roots: set[str], viewer: Viewer, now: int, ignored: Sequence[str]
) -> dict[str, bytes]:
    threads: Mapping[str, Thread] = await relations.threads_of(tx, roots, viewer.user_id, ignored)
    events = await list_by_nid(tx, [thread.latest for thread in threads.values()])
    latest = {root: events[thread.latest] for root, thread in threads.items()}
    forms = await _as_json(tx, latest, viewer, now, with_relations=True)
    return {
        root: b'{"latest_event":%b,"count":%d,"current_user_participated":%b}'
        % (form, threads[root].count, msgspec.json.encode(threads[root].participated))
        for root, form in forms.items()
    }
