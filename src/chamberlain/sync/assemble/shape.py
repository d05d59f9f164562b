"""Events in another form than the usual one, as a filter asks for (client-server API, Filtering)."""

from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from chamberlain.store.sync import pdus
from chamberlain.store.tx import Read
from chamberlain.sync.assemble.block import Ask, Block, Loaded


async def reshape(tx: Read, ask: Ask, loaded: Loaded) -> None:
    """Bring the events of an answer into the format, and cut them down to the fields, that the filter names."""
    blocks = [*loaded.joined.values(), *loaded.left.values()]
    raw: dict[str, bytes] = {}
    if ask.filter.event_format == "federation":
        raw = await pdus(tx, _ids(blocks))
    for block in blocks:
        block.timeline = [_reshape(ask, event, raw) for event in block.timeline]
        block.state = [_reshape(ask, event, raw) for event in block.state]


def _ids(blocks: Iterable[Block]) -> list[str]:
    events: list[Sequence[bytes]] = [part for block in blocks for part in (block.timeline, block.state)]
    return [orjson.loads(event)["event_id"] for part in events for event in part]


def _reshape(ask: Ask, event: bytes, raw: dict[str, bytes]) -> bytes:
    form: dict[str, Any] = orjson.loads(event)
    pdu = raw.get(form["event_id"])
    if pdu is not None:
        # Most versions have no id in the PDU, and a client could not name the event without.
        form = {**orjson.loads(pdu), "event_id": form["event_id"], "unsigned": form["unsigned"]}
    fields = ask.filter.fields
    return orjson.dumps(form if fields is None else fields.select(form))
