"""What rooms ask of others without knowing them."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Protocol, TypeAlias

from chamberlain.matrix.push_rules import Ruleset
from chamberlain.matrix.server_keys import PublishedKey


class Rulesets(Protocol):
    """Where the push rules of local users are."""

    async def with_own_rules(self, user_ids: Sequence[str]) -> Mapping[str, tuple[Ruleset, frozenset[str]]]:
        """Give the rulesets of those of the users who changed anything or ignore somebody, and whom they ignore."""
        ...


class Profiles(Protocol):
    """Where the profiles of local users are."""

    async def in_rooms(self, user_id: str) -> tuple[str | None, str | None]:
        """Give the display name and the avatar URL that the user's member events carry."""
        ...


class KeyRing(Protocol):
    """Where the keys of servers are."""

    async def find_keys(
        self, wanted: Collection[tuple[str, str]], valid_at: int
    ) -> dict[tuple[str, str], PublishedKey]:
        """Give the keys by (server, key id), those that no one knows left out; asks for those not valid at a time."""
        ...


LeaveGuard: TypeAlias = Callable[[str, str, str], Awaitable[None]]
"""Asked with (user id, room id, current membership) before a user leaves; raises to refuse."""
