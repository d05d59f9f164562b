"""The first checks of an event of another server: its signatures and its content hash (server-server API, PDUs).

1. It is an event of the room version          `Event.parse`, before it comes here
2. It passes the signature checks              otherwise it is dropped
3. It passes the hash checks                   otherwise it is redacted
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from chamberlain.matrix.event_signatures import SignedForm, required_signers
from chamberlain.matrix.events import Event, redact
from chamberlain.matrix.server_keys import PublishedKey
from chamberlain.rooms.ports import KeyRing
from chamberlain.runtime.clock import Clock
from chamberlain.runtime.log import get_logger

KEYS_TRIED: Final = 3
"""How many signatures of one server are looked at: it may have signed while it changed its key."""
IN_LOOP: Final = 4
"""Up to so many events are verified in the event loop; more go to a thread, an eighth of a millisecond each."""
AT_ONCE: Final = 200

Keys = Mapping[tuple[str, str], PublishedKey]
log = get_logger("rooms")


class _Claim:
    """An event, and who must have signed it."""

    __slots__ = ("form", "signatures")

    def __init__(self, event: Event) -> None:
        self.form = SignedForm(event)
        self.signatures = {
            str(server): dict(list(self.form.signatures_of(server).items())[:KEYS_TRIED])
            for server in required_signers(event)
        }

    @property
    def wanted(self) -> set[tuple[str, str]]:
        """The keys to verify it with, by (server, key id)."""
        return {(server, key_id) for server, found in self.signatures.items() for key_id in found}

    @property
    def is_signed(self) -> bool:
        """Whether each of those who must has signed at all."""
        return all(self.signatures.values())

    def holds(self, keys: Keys) -> bool:
        """Whether each signer has a good signature on it."""
        return all(self._has_signed(server, found, keys) for server, found in self.signatures.items())

    def _has_signed(self, server: str, found: Mapping[str, str], keys: Keys) -> bool:
        event = self.form.event
        for key_id, signature in found.items():
            published = keys.get((server, key_id))
            if published is None:
                continue
            if event.version.key_validity_enforced and not published.is_valid_at(event.origin_server_ts):
                continue
            if published.key.verify(self.form.message, signature):
                return True
        return False

    def judged(self, keys: Keys) -> Event | None:
        """The event as it counts: whole, redacted where the hash is another one, None without good signatures.

        What was staged while the room's version was only hearsay may go by an id that is not its own: None too.
        """
        if not self.form.has_true_id() or not self.holds(keys):
            return None
        return self.form.event if self.form.has_true_hash() else redact(self.form.event)


class Checks:
    """Lets events through that are what their servers made."""

    def __init__(self, keys: KeyRing, clock: Clock) -> None:
        self._keys = keys
        self._clock = clock

    async def passed(self, events: Sequence[Event]) -> list[Event]:
        """Give those of the events that are well signed, in the same order; redacted where the hash is another one."""
        found: list[Event] = []
        for start in range(0, len(events), AT_ONCE):
            claims = [_Claim(event) for event in events[start : start + AT_ONCE]]
            keys = await self._find_keys([claim for claim in claims if claim.is_signed])
            if len(claims) > IN_LOOP:
                judged = await asyncio.to_thread(_judge, claims, keys)
            else:
                judged = _judge(claims, keys)
            for claim, event in zip(claims, judged, strict=True):
                if event is None:
                    log.warning(
                        "an event without good signatures was dropped", event_id=claim.form.event.event_id
                    )
                else:
                    found.append(event)
        return found

    async def _find_keys(self, claims: Collection[_Claim]) -> Keys:
        wanted = {pair for claim in claims for pair in claim.wanted}
        if not wanted:
            return {}
        # What claims to be of the future is not worth asking for.
        times = [
            claim.form.event.origin_server_ts
            for claim in claims
            if claim.form.event.version.key_validity_enforced
        ]
        return await self._keys.find_keys(wanted, min(max(times, default=0), self._clock.now()))


def _judge(claims: Sequence[_Claim], keys: Keys) -> list[Event | None]:
    return [claim.judged(keys) for claim in claims]
