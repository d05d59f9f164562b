"""One request for /sync, and the answer in the making."""

import msgspec

from chamberlain.accounts.requester import Requester
from chamberlain.matrix.filters import Filter
from chamberlain.sync.present import State


class SyncRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a client asks for; `timeout_ms`: how long it waits for news."""

    requester: Requester
    filter: Filter
    since: str | None = None
    full_state: bool = False
    use_state_after: bool = False
    timeout_ms: int = 0
    set_presence: State = "online"
