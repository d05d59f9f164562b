"""Member events for users of other servers, drafted and not committed (server-server API, Joining Rooms)."""

from chamberlain.matrix.event_types import MEMBER
from chamberlain.matrix.events import Draft, Event
from chamberlain.matrix.hashes import decode_for
from chamberlain.matrix.types import JsonObject
from chamberlain.rooms.pipeline.chain import Chain
from chamberlain.rooms.pipeline.draft import Drafting
from chamberlain.rooms.pipeline.head import Heads
from chamberlain.rooms.pipeline.policy import Policy
from chamberlain.runtime.clock import Clock

_OF_THE_SENDER = ("event_id", "hashes", "signatures")


class Templates:
    """Drafts on the present heads of rooms."""

    def __init__(self, heads: Heads, drafting: Drafting, policy: Policy, clock: Clock) -> None:
        self._heads = heads
        self._drafting = drafting
        self._policy = policy
        self._clock = clock

    async def draft(self, room_id: str, sender: str, target: str, content: JsonObject) -> Event:
        """Give the member event as the room now allows it, signed by this server and as the policy server wants it.

        Raises:
            NotFound: there is no such room.
            Forbidden: the room's state does not allow it.
            BadJson, MatrixError (TOO_LARGE): the content is none that an event may have.
            MatrixError: what the room's policy server says where it refuses the event.
        """
        chain = Chain(await self._heads.get(room_id))
        return await self._policy.signed(chain, await self._draft(chain, sender, target, content))

    async def _draft(self, chain: Chain, sender: str, target: str, content: JsonObject) -> Event:
        draft = Draft(
            room_id=chain.head.room_id,
            type=MEMBER,
            sender=sender,
            content=content,
            state_key=target,
            origin_server_ts=self._clock.now(),
        )
        return (await self._drafting.make(chain, draft)).event

    async def make(self, room_id: str, user_id: str, content: JsonObject) -> JsonObject:
        """Give what a user's server makes a member event of: no id, no hash, no signature.

        Raises:
            NotFound: there is no such room.
            Forbidden: the room's state does not allow it.
        """
        chain = Chain(await self._heads.get(room_id))
        event = await self._draft(chain, user_id, user_id, content)
        fields: JsonObject = decode_for(event.version, event.pdu)
        return {name: value for name, value in fields.items() if name not in _OF_THE_SENDER}
