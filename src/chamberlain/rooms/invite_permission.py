"""Users who want no invitations (client-server API, Invite permission)."""

from typing import Final

import orjson

from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import MatrixError
from chamberlain.store import account_data
from chamberlain.store.database import Database
from chamberlain.store.tx import Read

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
        if await self._db.read(blocks_invitations, user_id):
            raise MatrixError(ErrCode.INVITE_BLOCKED, "This user does not want to be invited")


async def blocks_invitations(tx: Read, user_id: str) -> bool:
    """Say whether a user of ours blocks all invitations."""
    stored = await account_data.find(tx, user_id, "", CONFIG)
    found = None if stored is None else orjson.loads(stored)
    return isinstance(found, dict) and found.get("default_action") == "block"
