"""GET /sync: what is new for one device, waiting for it where nothing is (client-server API, Syncing)."""

from typing import Final

import msgspec
import orjson

from chamberlain.accounts.tokens import Tokens
from chamberlain.matrix.errors import InvalidParam
from chamberlain.rooms.stream_tokens import StreamToken, parse_stream_token
from chamberlain.rooms.typing import Typing
from chamberlain.runtime.clock import Clock
from chamberlain.sync.answers import Answer, Answers
from chamberlain.sync.presence import Presences
from chamberlain.sync.request import SyncRequest
from chamberlain.sync.wait import Waiting

MAX_CATCH_UP_SECONDS: Final = 10.0
"""So long a token that is ahead of this worker is waited for."""
MAX_AHEAD: Final = 60_000
"""So far (ms) another worker may have heard more of what is not durable. What is further was never given out, or before
a clock was set back."""


class Syncing:
    """Answers /sync."""

    def __init__(
        self,
        clock: Clock,
        waiting: Waiting,
        answers: Answers,
        typing: Typing,
        presences: Presences,
        tokens: Tokens,
        *,
        epoch: str,
        max_timeout_ms: int,
    ) -> None:
        self._clock = clock
        self._waiting = waiting
        self._answers = answers
        self._typing = typing
        self._presences = presences
        self._tokens = tokens
        self._epoch = epoch
        self._max_timeout_ms = max_timeout_ms

    async def sync(self, request: SyncRequest) -> bytes:
        """Give the JSON of the answer: at once where there is news, or else when it comes or time is up.

        Raises:
            InvalidParam: `since` is no token.
            UnknownToken, MatrixError (USER_LOCKED): the requester was logged out, or locked, while waiting.
        """
        since = self._since(request.since)
        user_id = request.requester.user_id
        await self._presences.begin_sync(user_id, request.set_presence)
        try:
            answer = await self._answer(request, since)
        finally:
            self._presences.end_sync(user_id, request.set_presence)
        return orjson.dumps(answer.body)

    def now(self) -> StreamToken:
        """The token of everything that this worker knows of."""
        return StreamToken(self._epoch, self._waiting.position, self._typing.position)

    def _since(self, text: str | None) -> StreamToken | None:
        if text is None:
            return None
        token = parse_stream_token(text)
        if token is None:
            raise InvalidParam("`since` is no token of this server")
        # What a database knew before a backup of it was restored is no basis for anything.
        if token.epoch != self._epoch:
            return None
        if token.ephemeral > self._typing.position + MAX_AHEAD:
            return msgspec.structs.replace(token, ephemeral=0)
        return token

    async def _answer(self, request: SyncRequest, since: StreamToken | None) -> Answer:
        requester = request.requester
        waiting = self._waiting
        timeout_ms = 0 if request.full_state else min(request.timeout_ms, self._max_timeout_ms)
        deadline = self._clock.monotonic() + timeout_ms / 1000
        if since is not None:
            await waiting.until_position(since.position, MAX_CATCH_UP_SECONDS)
        interest = await waiting.listen(requester.user_id)
        access = interest.access
        await self._answers.acknowledge(requester, since)
        if since is None or request.full_state:
            return await self._answers.make(request, since)
        while True:
            is_late = self._clock.monotonic() >= deadline or waiting.is_closing
            if self._answers.may_have_news(interest, requester.device_id, since):
                answer = await self._answers.make(request, since)
                if not answer.is_empty or is_late:
                    return answer
                since = answer.token
            elif is_late:
                return await self._answers.nothing(requester, since)
            interest = await waiting.listen(requester.user_id)
            if not self._answers.may_have_news(interest, requester.device_id, since):
                await waiting.wait(interest, deadline - self._clock.monotonic())
            interest = await waiting.listen(requester.user_id)
            if interest.access != access:
                access = interest.access
                if requester.appservice_id is None:
                    await self._tokens.recheck(requester)
