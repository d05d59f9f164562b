"""What is worth telling a server now or never: typing, receipts, presence. In memory, the newest of each alone."""

from typing import Any, Final

from chamberlain.matrix import canonical_json
from chamberlain.store.receipts import READ, UNTHREADED, Receipt
from chamberlain.sync.present import Presence

MAX_AGE_MS: Final = 300_000
"""Nobody wants to know who typed, read or was there longer ago."""
KEPT: Final = 200
"""So many things of each sort are kept for one server; the oldest go."""


class Ephemera:
    """What waits for one server."""

    __slots__ = ("_presence", "_receipts", "_typing")

    def __init__(self) -> None:
        self._typing: dict[tuple[str, str], tuple[int, bytes]] = {}
        self._receipts: dict[tuple[str, str, str], tuple[int, Receipt]] = {}
        self._presence: dict[str, tuple[int, Presence]] = {}

    def __bool__(self) -> bool:
        return bool(self._typing or self._receipts or self._presence)

    def add_typing(self, now: int, room_id: str, user_id: str, edu: bytes) -> None:
        """Whether a user types in a room; `edu` says so."""
        _keep(self._typing, (room_id, user_id), (now, edu))

    def add_receipt(self, now: int, receipt: Receipt) -> None:
        """How far a user has read."""
        _keep(self._receipts, (receipt.room_id, receipt.user_id, receipt.thread), (now, receipt))

    def add_presence(self, now: int, user_id: str, presence: Presence) -> None:
        """How a user is there."""
        _keep(self._presence, user_id, (now, presence))

    def take(self, now: int, limit: int) -> list[bytes]:
        """Take out everything and make EDUs of it, at most `limit`, without what is too old."""
        after = now - MAX_AGE_MS
        edus = [edu for at, edu in self._typing.values() if at > after]
        edus += _receipt_edus([receipt for at, receipt in self._receipts.values() if at > after])
        present = {user: presence for user, (at, presence) in self._presence.items() if at > after}
        if present:
            edus.append(_presence_edu(present, now))
        self._typing.clear()
        self._receipts.clear()
        self._presence.clear()
        return edus[-limit:] if limit else []


def _keep(kept: dict[Any, Any], key: Any, item: Any) -> None:
    kept.pop(key, None)
    kept[key] = item
    if len(kept) > KEPT:
        del kept[next(iter(kept))]


def make_edu(edu_type: str, content: Any) -> bytes:
    """An EDU as canonical JSON."""
    return canonical_json.encode_unchecked({"edu_type": edu_type, "content": content})


def typing_edu(room_id: str, user_id: str, *, typing: bool) -> bytes:
    """That a user types, or does not any more."""
    return make_edu("m.typing", {"room_id": room_id, "user_id": user_id, "typing": typing})


def _receipt_edus(receipts: list[Receipt]) -> list[bytes]:
    """As few EDUs as can be: each has room for one receipt of a user in a room."""
    layers: list[dict[str, dict[str, Any]]] = []
    for receipt in receipts:
        data: dict[str, Any] = {"ts": receipt.ts}
        if receipt.thread != UNTHREADED:
            data["thread_id"] = receipt.thread
        for layer in layers:
            if receipt.user_id not in layer.get(receipt.room_id, ()):
                break
        else:
            layer = {}
            layers.append(layer)
        layer.setdefault(receipt.room_id, {})[receipt.user_id] = {
            "data": data,
            "event_ids": [receipt.event_id],
        }
    return [
        make_edu("m.receipt", {room_id: {READ: users} for room_id, users in layer.items()})
        for layer in layers
    ]


def _presence_edu(present: dict[str, Presence], now: int) -> bytes:
    push = [{"user_id": user_id, **presence.content(now)} for user_id, presence in present.items()]
    return make_edu("m.presence", {"push": push})
