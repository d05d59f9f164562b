"""What the authorization rules say of an event: a value, not an exception."""

from typing import ClassVar, Final, TypeAlias

import msgspec


class Allow(msgspec.Struct, frozen=True):
    """The event passes."""

    allowed: ClassVar[bool] = True


class Reject(msgspec.Struct, frozen=True):
    """The event does not pass; `reason` is a sentence for logs and for the local user who tried."""

    allowed: ClassVar[bool] = False
    reason: str


Verdict: TypeAlias = Allow | Reject

ALLOW: Final = Allow()
