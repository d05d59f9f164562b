"""Events that relate to other events."""

from chamberlain.store.tx import Read


async def has_annotation(tx: Read, event_id: str, sender: str, kind: str, key: str) -> bool:
    """Say whether the sender has annotated the event with this key and event type."""
    return bool(
        await tx.all(
            "SELECT 1 FROM events WHERE relates_to = :event_id AND rel_type = 'm.annotation'"
            " AND sender = :sender AND type = :kind AND rel_key = :key LIMIT 1",
            event_id=event_id,
            sender=sender,
            kind=kind,
            key=key,
        )
    )
