"""`GET /capabilities`: what this account may do on this server (client-server API, Capabilities negotiation)."""

from functools import cache
from typing import Final

from chamberlain.http import registry
from chamberlain.http.endpoint import Auth, Context, Response, endpoint
from chamberlain.matrix.types import JsonObject
from chamberlain.matrix.versions import ROOM_VERSIONS

_MODERATION_PATHS: Final = {
    "lock": "/_matrix/client/v1/admin/lock/{user_id}",
    "suspend": "/_matrix/client/v1/admin/suspend/{user_id}",
}


class Capabilities(Response):
    """Each capability with its properties."""

    capabilities: JsonObject


@endpoint("GET", "/_matrix/client/v3/capabilities", auth=Auth.ACCESS_TOKEN)
async def get_capabilities(ctx: Context) -> Capabilities:
    """Say what this account may do."""
    accounts = ctx.services.accounts
    user = await accounts.users.find(ctx.requester.user_id)
    has_password = accounts.passwords.enabled and user is not None and user.has_password
    capabilities = _of_everyone(ctx.services.config.default_room_version, has_password)
    return Capabilities(capabilities | _moderation() if ctx.requester.is_admin else capabilities)


def _of_everyone(default_room_version: str, has_password: bool) -> JsonObject:
    return {
        "m.change_password": {"enabled": has_password},
        "m.room_versions": {
            "default": default_room_version,
            "available": {version: "stable" for version in ROOM_VERSIONS},
        },
        "m.set_displayname": {"enabled": True},
        "m.set_avatar_url": {"enabled": True},
        "m.profile_fields": {"enabled": True},
        "m.3pid_changes": {"enabled": False},
        "m.get_login_token": {"enabled": has_password},
    }


@cache
def _moderation() -> JsonObject:
    """What an administrator may do to other accounts, as far as the endpoints of the specification are served."""
    paths = {path for record in registry.load() for path in (record.path, *record.aliases)}
    can = {what: True for what, path in _MODERATION_PATHS.items() if path in paths}
    return {"m.account_moderation": can} if can else {}
