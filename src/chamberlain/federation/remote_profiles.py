"""The profiles of other servers' users (server-server API, Querying for information)."""

from collections.abc import Mapping
from typing import Final

import msgspec

from chamberlain.federation.answers import Answers
from chamberlain.federation.client import FederationClient, decode_answer, federation_path
from chamberlain.matrix.ids import server_of
from chamberlain.runtime.clock import Clock
from chamberlain.runtime.tasks import Tasks

KEPT: Final = 1_000
KEPT_SECONDS: Final = 120.0
SECONDS: Final = 8.0
MAX_BYTES: Final = 70_000
"""Of an answer; a profile has 65,536 at most where the other server keeps to the specification."""
_TEXTS: Final = ("displayname", "avatar_url")


class RemoteProfiles:
    """Asks servers for the profiles of their users."""

    def __init__(self, clock: Clock, tasks: Tasks, client: FederationClient) -> None:
        self._client = client
        self._answers: Answers[str, Mapping[str, bytes]] = Answers(
            clock, tasks, size=KEPT, seconds=KEPT_SECONDS, name="remote profiles"
        )

    async def get(self, user_id: str) -> Mapping[str, bytes]:
        """Give every field of a profile, each as JSON, as it was at most two minutes ago.

        Raises:
            RemoteError: the user's server gave none.
        """
        return await self._answers.get(user_id, lambda: self._ask(user_id))

    async def _ask(self, user_id: str) -> Mapping[str, bytes]:
        server = server_of(user_id)
        body = await self._client.get(
            server,
            federation_path("v1", "query", "profile"),
            [("user_id", user_id)],
            timeout=SECONDS,
            max_bytes=MAX_BYTES,
        )
        found = decode_answer(server, body, dict[str, msgspec.Raw])
        fields = {name: bytes(value) for name, value in found.items()}
        return {
            name: value
            for name, value in fields.items()
            if value != b"null" and (name not in _TEXTS or value.startswith(b'"'))
        }
