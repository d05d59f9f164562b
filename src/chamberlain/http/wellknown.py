"""`/.well-known/matrix/…`: where clients, servers and people find this server (client-server API, 4)."""

from __future__ import annotations

from chamberlain.http.endpoint import Auth, Context, Limit, endpoint
from chamberlain.matrix.errors import NotFound
from chamberlain.matrix.types import JsonObject


@endpoint("GET", "/.well-known/matrix/client", auth=Auth.NONE, limit=Limit.NONE)
async def get_wellknown(ctx: Context) -> JsonObject:
    """Tell clients the URL of this server."""
    config = ctx.services.config
    return {"m.homeserver": {"base_url": config.base_url or f"https://{config.server_name}"}}


@endpoint("GET", "/.well-known/matrix/server", auth=Auth.NONE, limit=Limit.NONE)
async def get_server_delegation(ctx: Context) -> JsonObject:
    """Tell other homeservers where to find this one; 404 when it is found by its name."""
    server = ctx.services.config.well_known.server
    if not server:
        raise NotFound("This server is found by its name")
    return {"m.server": server}


@endpoint("GET", "/.well-known/matrix/policy_server", auth=Auth.NONE, limit=Limit.NONE)
async def get_policy_server(ctx: Context) -> JsonObject:
    """Tell clients the key of the policy server of this name; 404 when there is none."""
    key = ctx.services.config.well_known.policy_server_key
    if not key:
        raise NotFound("There is no policy server of this name")
    return {"public_keys": {"ed25519": key}}


@endpoint("GET", "/.well-known/matrix/support", auth=Auth.NONE, limit=Limit.NONE)
async def get_support(ctx: Context) -> JsonObject:
    """Tell people whom to turn to; 404 when nobody is named."""
    config = ctx.services.config.well_known
    answer: JsonObject = {}
    if config.contacts:
        answer["contacts"] = [
            {"role": contact.role}
            | ({"matrix_id": contact.matrix_id} if contact.matrix_id else {})
            | ({"email_address": contact.email_address} if contact.email_address else {})
            for contact in config.contacts
        ]
    if config.support_page:
        answer["support_page"] = config.support_page
    if not answer:
        raise NotFound("Nobody is named to turn to")
    return answer
