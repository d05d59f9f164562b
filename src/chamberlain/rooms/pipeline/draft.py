"""From a draft to a signed event that the room's state allows."""

from collections.abc import Collection

from chamberlain.matrix.auth_rules import auth_keys, check
from chamberlain.matrix.auth_rules.power_levels import CREATE_KEY
from chamberlain.matrix.auth_rules.verdict import Reject
from chamberlain.matrix.errors import Forbidden
from chamberlain.matrix.events import Draft, Event, build
from chamberlain.matrix.hashes import decode_for, reference_hash, signed_bytes
from chamberlain.matrix.policy import POLICY_KEY
from chamberlain.matrix.signing import encode_base64
from chamberlain.matrix.types import StateKey
from chamberlain.rooms.pipeline.chain import Chain
from chamberlain.rooms.pipeline.head import Extremity, Heads, Stored
from chamberlain.rooms.pipeline.resolve import Resolve
from chamberlain.rooms.pipeline.waiting import Made
from chamberlain.rooms.ports import OwnKeys
from chamberlain.store import events
from chamberlain.store.database import Database
from chamberlain.store.state.merge import after

_MAX_DEPTH = 2**53 - 1
_NO_EXTREMITY = Extremity(0, "", 0, 0)


class Drafting:
    """Makes events of drafts."""

    def __init__(
        self, db: Database, heads: Heads, resolve: Resolve, server_name: str, own_keys: OwnKeys
    ) -> None:
        self._db = db
        self._heads = heads
        self._resolve = resolve
        self._server_name = server_name
        self._own_keys = own_keys

    async def load(self, chain: Chain, draft: Draft) -> tuple[set[StateKey], set[StateKey]]:
        """Have what an event of the draft is judged by at hand; give the keys of its auth events, and all keys."""
        version = chain.head.version
        keys = auth_keys(version, draft.type, draft.sender, draft.state_key, draft.content)
        wanted = keys | {CREATE_KEY}
        if draft.state_key is not None:
            wanted.add((draft.type, draft.state_key))
        # The policy server is looked for afterwards: once to the database for all of it.
        await self._heads.load(chain.head, {*wanted, POLICY_KEY})
        return keys, wanted

    async def make(self, chain: Chain, draft: Draft) -> Made:
        """Give the event that the draft is as the next one of the chain.

        Raises:
            Forbidden: the room's state does not allow it.
            BadJson: the content holds what the room version has not.
            MatrixError: TOO_LARGE.
        """
        version = chain.head.version
        keys, wanted = await self.load(chain, draft)
        current = {key: stored for key in wanted if (stored := chain.state(key)) is not None}
        before = await self._before(chain, wanted) if chain.is_crowded else current
        auth = [before[key] for key in sorted(keys) if key in before]
        ends = chain.ends
        event = build(
            draft,
            version=version,
            prev_events=[end.event_id for end in ends],
            auth_events=[stored.event.event_id for stored in auth],
            depth=min(max((end.depth for end in ends), default=0) + 1, _MAX_DEPTH),
            server_name=self._server_name,
            signing_key=self._own_keys.signing_key,
            reference_hashes={} if version.has_hash_event_ids else await self._hashes(chain, auth),
        )
        for state in [before] if before is current else [before, current]:
            verdict = check(event, {key: stored.event for key, stored in state.items()})
            if isinstance(verdict, Reject):
                raise Forbidden(verdict.reason)
        return Made(event, auth)

    async def _before(self, chain: Chain, keys: Collection[StateKey]) -> dict[StateKey, Stored]:
        """What these keys have where the next event is, which does not follow all ends of the room.

        The others go by what it follows, and by nothing else.
        """
        views = await self._db.snapshot(after, [end.nid for end in chain.ends])
        view = await self._resolve.merge(chain.head.version, views, chain.head.point)
        return await self._resolve.state_at(view, keys)

    async def _hashes(self, chain: Chain, auth: list[Stored]) -> dict[str, str]:
        """The reference hashes that events of room versions 1 and 2 cite."""
        cited = [stored.event for stored in auth]
        known: dict[str, Event] = {stored.event.event_id: stored.event for stored in chain.overlay.values()}
        for extremity in chain.ends:
            event = known.get(extremity.event_id) or chain.drafted.get(extremity.event_id)
            if event is None:
                found = await self._db.read(events.find_event, extremity.event_id)
                event = found[0] if found is not None else None
            if event is not None:
                cited.append(event)
        return {
            event.event_id: encode_base64(
                reference_hash(signed_bytes(decode_for(event.version, event.pdu), event.version))
            )
            for event in cited
        }
