"""Who is typing on other servers (server-server API, Typing Notifications)."""

from collections.abc import Sequence
from typing import Final

import msgspec

from chamberlain.federation.inbound.edus import decode, is_user_of
from chamberlain.federation.inbound.participants import Participants
from chamberlain.rooms.typing import Typing

TIMEOUT_MS: Final = 60_000
"""For how long one types whose server says nothing more; other servers say it again every 40 seconds."""


class _Content(msgspec.Struct):
    room_id: str
    user_id: str
    typing: bool


class IncomingTyping:
    """Takes m.typing."""

    def __init__(self, typing: Typing, participants: Participants) -> None:
        self._typing = typing
        self._participants = participants

    async def handle(self, origin: str, contents: Sequence[msgspec.Raw]) -> None:
        """Those of the server's users who are in the room type there, or cease to."""
        for content in decode(contents, _Content):
            if not is_user_of(origin, content.user_id):
                continue
            if not content.typing:
                self._typing.stop(content.room_id, content.user_id)
            elif await self._participants.may_act(origin, content.room_id, content.user_id):
                self._typing.start(content.room_id, content.user_id, TIMEOUT_MS)
