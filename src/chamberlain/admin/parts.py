"""What operations work with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from chamberlain.accounts.wiring import Accounts
from chamberlain.federation.wiring import Remotes
from chamberlain.media.wiring import Media
from chamberlain.rooms.wiring import Rooms
from chamberlain.runtime.clock import Clock
from chamberlain.store.database import Database

if TYPE_CHECKING:
    from chamberlain.admin.audit import AuditLog
    from chamberlain.admin.deactivation import Deactivation
    from chamberlain.admin.everywhere import Everywhere
    from chamberlain.admin.jobs.engine import Jobs
    from chamberlain.admin.notices import Notices
    from chamberlain.admin.secret_registration import SecretRegistration


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """The services that an operation may call."""

    db: Database
    clock: Clock
    accounts: Accounts
    rooms: Rooms
    remotes: Remotes
    media: Media
    jobs: Jobs
    audit: AuditLog
    notices: Notices
    deactivation: Deactivation
    secret_registration: SecretRegistration
    everywhere: Everywhere
