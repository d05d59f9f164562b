"""`/pushrules/…` (client-server API, Push Rules API)."""

from typing import Any

from chamberlain.http.endpoint import Auth, Body, Context, Path, Query, Request, Response, endpoint
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.push_rules import get_rule, rule_to_json
from chamberlain.matrix.push_rules.model import Rule
from chamberlain.matrix.types import JsonObject

_RULE = "/_matrix/client/v3/pushrules/global/{kind}/{rule_id}"


class NamedRule(Request):
    """Which rule."""

    kind: Path[str]
    rule_id: Path[str]


@endpoint("GET", "/_matrix/client/v3/pushrules/", auth=Auth.ACCESS_TOKEN)
async def get_push_rules(ctx: Context) -> JsonObject:
    """List one's push rules."""
    return await ctx.services.accounts.push_rules.content_of(ctx.requester.user_id)


@endpoint("GET", "/_matrix/client/v3/pushrules/global/", auth=Auth.ACCESS_TOKEN)
async def get_global_push_rules(ctx: Context) -> JsonObject:
    """List one's push rules, without the scope around them."""
    content = await ctx.services.accounts.push_rules.content_of(ctx.requester.user_id)
    rules: JsonObject = content["global"]
    return rules


@endpoint("GET", _RULE, auth=Auth.ACCESS_TOKEN)
async def get_push_rule(ctx: Context, request: NamedRule) -> JsonObject:
    """Read a push rule."""
    return rule_to_json(await _rule(ctx, request))


class PutRule(Request):
    """A rule, and where it stands among one's own."""

    kind: Path[str]
    rule_id: Path[str]
    before: Query[str | None] = None
    after: Query[str | None] = None
    rule: Body[JsonObject]


@endpoint("PUT", _RULE, auth=Auth.ACCESS_TOKEN, errors=(ErrCode.UNKNOWN,))
async def set_push_rule(ctx: Context, request: PutRule) -> None:
    """Add or change a push rule."""
    await ctx.services.accounts.push_rules.put(
        ctx.requester.user_id, request.kind, request.rule_id, request.rule, request.before, request.after
    )


@endpoint("DELETE", _RULE, auth=Auth.ACCESS_TOKEN)
async def delete_push_rule(ctx: Context, request: NamedRule) -> None:
    """Delete a push rule of one's own."""
    await ctx.services.accounts.push_rules.delete(ctx.requester.user_id, request.kind, request.rule_id)


class Enabled(Response):
    """Whether the rule is enabled."""

    enabled: bool


@endpoint("GET", _RULE + "/enabled", auth=Auth.ACCESS_TOKEN)
async def get_enabled(ctx: Context, request: NamedRule) -> Enabled:
    """Say whether a push rule is enabled."""
    return Enabled((await _rule(ctx, request)).enabled)


class SetEnabled(Request):
    """Whether a rule is to be enabled."""

    kind: Path[str]
    rule_id: Path[str]
    enabled: bool


@endpoint("PUT", _RULE + "/enabled", auth=Auth.ACCESS_TOKEN)
async def set_enabled(ctx: Context, request: SetEnabled) -> None:
    """Enable or disable a push rule."""
    await ctx.services.accounts.push_rules.set_enabled(
        ctx.requester.user_id, request.kind, request.rule_id, request.enabled
    )


class Actions(Response):
    """What the rule does."""

    actions: list[Any]


@endpoint("GET", _RULE + "/actions", auth=Auth.ACCESS_TOKEN)
async def get_actions(ctx: Context, request: NamedRule) -> Actions:
    """Say what a push rule does."""
    return Actions(list((await _rule(ctx, request)).actions))


class SetActions(Request):
    """What a rule is to do."""

    kind: Path[str]
    rule_id: Path[str]
    actions: list[Any]


@endpoint("PUT", _RULE + "/actions", auth=Auth.ACCESS_TOKEN)
async def set_actions(ctx: Context, request: SetActions) -> None:
    """Change what a push rule does."""
    await ctx.services.accounts.push_rules.set_actions(
        ctx.requester.user_id, request.kind, request.rule_id, request.actions
    )


async def _rule(ctx: Context, request: NamedRule) -> Rule:
    ruleset = await ctx.services.accounts.push_rules.get(ctx.requester.user_id)
    return get_rule(ruleset, request.kind, request.rule_id)
