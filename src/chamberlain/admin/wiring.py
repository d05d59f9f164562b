"""The services of administration, made and bundled."""

from chamberlain.accounts.wiring import Accounts
from chamberlain.admin import operations
from chamberlain.admin.audit import AuditLog
from chamberlain.admin.deactivation import AccountEnd, Deactivation
from chamberlain.admin.deletion import DeleteRoom
from chamberlain.admin.everywhere import Everywhere
from chamberlain.admin.jobs.engine import Jobs
from chamberlain.admin.leaving import Deactivate, EvacuateRoom, EvacuateUser, Leaving
from chamberlain.admin.notices import Notices
from chamberlain.admin.parts import Parts
from chamberlain.admin.replacement import Replacement
from chamberlain.admin.run import Runner
from chamberlain.admin.secret_registration import SecretRegistration
from chamberlain.config.server_notices import ServerNotices
from chamberlain.federation.wiring import Remotes
from chamberlain.matrix.ids import UserID
from chamberlain.media.wiring import Media
from chamberlain.rooms.wiring import Rooms
from chamberlain.runtime.clock import Clock
from chamberlain.runtime.rng import Rng
from chamberlain.store.database import Database


class Admin:
    """The bundle. `runner` runs operations; the others are what operations and their façades call."""

    __slots__ = ("_everywhere", "deactivation", "jobs", "runner", "secret_registration")

    def __init__(self, parts: Parts) -> None:
        self.runner = Runner(parts, parts.audit)
        self._everywhere = parts.everywhere
        self.jobs = parts.jobs
        self.deactivation = parts.deactivation
        self.secret_registration = parts.secret_registration

    async def start(self) -> None:
        """Begin the background work: jobs that were cut off go on."""
        await self._everywhere.start()
        await self.jobs.start_background()

    async def close(self) -> None:
        """End the background work; unfinished jobs go on after the next start, or on another worker."""
        await self.jobs.close()
        await self._everywhere.close()


def build_admin(
    db: Database,
    clock: Clock,
    rng: Rng,
    holder: str,
    *,
    accounts: Accounts,
    rooms: Rooms,
    remotes: Remotes,
    media: Media,
    audit_key: bytes,
    shared_secret: str,
    server_notices: ServerNotices,
    shared: bool,
) -> Admin:
    """Make the services, and keep the sender of server notices from being anybody else's.

    `holder`: this worker's name; `shared`: other workers use the same database.
    """
    operations.load()
    leaving = Leaving(db, clock, rooms.submit, rooms.remote_membership)
    replacement = Replacement(db, rooms.create, rooms.submit, rooms.membership)
    end = AccountEnd(db, accounts.deactivation, accounts.tokens)
    jobs = Jobs(
        db,
        clock,
        rng,
        holder,
        [
            EvacuateRoom(db, leaving),
            EvacuateUser(db, leaving),
            Deactivate(db, leaving, end),
            DeleteRoom(db, clock, leaving, replacement, rooms.submit, remotes.gate),
        ],
    )
    notices = Notices(db, clock, holder, accounts, rooms, server_notices)
    _keep_sender(accounts, notices)
    rooms.membership.leave_guard = notices.guard_leave
    return Admin(
        Parts(
            db=db,
            clock=clock,
            accounts=accounts,
            rooms=rooms,
            remotes=remotes,
            media=media,
            jobs=jobs,
            audit=AuditLog(db, clock, rng, audit_key),
            notices=notices,
            deactivation=Deactivation(db, end, jobs),
            secret_registration=SecretRegistration(db, clock, rng, shared_secret),
            everywhere=Everywhere(
                db, clock, rng, holder, (remotes.gate.settled, remotes.key_rotation.settled), shared=shared
            ),
        )
    )


def _keep_sender(accounts: Accounts, notices: Notices) -> None:
    kept_for_others = accounts.registration.is_exclusive

    def is_exclusive(user_id: UserID) -> bool:
        return user_id == notices.user_id or kept_for_others(user_id)

    accounts.registration.is_exclusive = is_exclusive
