"""Deactivating accounts: everything that ends with one (client-server API, Account deactivation)."""

from chamberlain.accounts.deactivation import Deactivation as OfAccounts
from chamberlain.accounts.tokens import Tokens
from chamberlain.admin.administrators import demote
from chamberlain.admin.jobs.engine import Jobs
from chamberlain.store import cross_signing, key_backups
from chamberlain.store.database import Database
from chamberlain.store.jobs import Job
from chamberlain.store.tx import Write

KIND = "deactivate"


class AccountEnd:
    """Ends everything of an account but its memberships."""

    def __init__(self, db: Database, of_accounts: OfAccounts, tokens: Tokens) -> None:
        self._db = db
        self._of_accounts = of_accounts
        self._tokens = tokens

    async def end(self, user_id: str, *, erase: bool) -> None:
        """Tokens die at once; password, 3PIDs, devices, keys and backups are gone. Harmless when repeated.

        Raises:
            NotFound: there is no such user.
        """
        await self._of_accounts.deactivate(user_id, erase=erase)
        await self._tokens.log_out_all(user_id)
        await self._db.write(_delete_keys, user_id)


async def _delete_keys(tx: Write, user_id: str) -> None:
    await cross_signing.delete_all(tx, user_id)
    await key_backups.delete_all(tx, user_id)


class Deactivation:
    """Deactivates accounts, whoever asks for it."""

    def __init__(self, db: Database, end: AccountEnd, jobs: Jobs) -> None:
        self._db = db
        self._end = end
        self._jobs = jobs

    async def start(self, user_id: str, requester: str, *, erase: bool) -> Job:
        """The account is ended; gives the job that has it out of its rooms. Harmless when repeated.

        Raises:
            NotFound: there is no such user.
            MatrixError: M_FORBIDDEN, the user is the last administrator.
        """
        await demote(self._db, user_id)
        job = await self._jobs.start(KIND, user_id, requester, {"erase": erase})
        await self._end.end(user_id, erase=erase)
        return job

    async def deactivate_account(self, user_id: str, *, erase: bool) -> None:
        """The account is ended and out of every room that it could leave; for the user's own wish.

        Raises:
            NotFound: there is no such user.
            MatrixError: M_FORBIDDEN, the user is the last administrator.
        """
        job = await self.start(user_id, user_id, erase=erase)
        await self._jobs.wait(job.job_id)
