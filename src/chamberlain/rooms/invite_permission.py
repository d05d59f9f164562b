"""Users who want no invitations (client-server API, Invite permission)."""

from typing import Final

import orjson

from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import MatrixError
from chamberlain.store import account_data
from chamberlain.store.database import Database

CONFIG: Final = "m.invite_permission_config"


class InvitePermission:
    """Knows what our users have said."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def must_allow(self, user_id: str) -> None:
        """Return unless a user of ours blocks all invitations.

        Raises:
            MatrixError: INVITE_BLOCKED.
        """
        stored = await self._db.read(account_data.find, user_id, "", CONFIG)
        if stored is not None and blocks(stored):
            raise MatrixError(ErrCode.INVITE_BLOCKED, "This user does not want to be invited")


def blocks(config: bytes) -> bool:
    """Whether such account data blocks invitations."""
    found = orjson.loads(config)
    return isinstance(found, dict) and found.get("default_action") == "block"
