"""Operations on which other homeservers are talked to."""

import msgspec

from chamberlain.admin.operation import Done, OperationContext, Plan, Route, Scope, operation
from chamberlain.federation.gate import check_pattern
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import NotFound
from chamberlain.store.server_rules import Rule, ServerRule

PATH = "/server-rules"


class ListRules(msgspec.Struct, frozen=True):
    """Nothing to say."""


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What keeps servers out. Who is denied anywhere is kept out; with anyone allowed, so is everyone else."""

    federation: bool
    """Whether other homeservers are talked to at all, by the settings."""
    allowed_by_settings: tuple[str, ...] | None
    denied_by_settings: tuple[str, ...]
    rules: list[ServerRule]
    """Those made by operations, by pattern."""


@operation("server_rules.list", Scope.FEDERATION_READ, route=Route("GET", PATH))
async def list_rules(ctx: OperationContext, request: ListRules) -> Rules:
    """List which other homeservers are talked to: the patterns of the settings, and the rules made since."""
    gate = ctx.parts.remotes.gate
    return Rules(
        federation=gate.is_open,
        allowed_by_settings=gate.settings.allow,
        denied_by_settings=gate.settings.deny,
        rules=list(gate.rules),
    )


class CheckServer(msgspec.Struct, frozen=True):
    """Which server."""

    server_name: str


class Verdict(msgspec.Struct, frozen=True):
    """Whether the server is talked to."""

    server_name: str
    permitted: bool


@operation("server_rules.check", Scope.FEDERATION_READ, route=Route("GET", PATH + "/check/{server_name}"))
async def check_server(ctx: OperationContext, request: CheckServer) -> Verdict:
    """Tell whether a server is talked to."""
    return Verdict(request.server_name, ctx.parts.remotes.gate.permits(request.server_name))


class SetRule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule for the servers whose name fits a pattern."""

    pattern: str
    """A server name; `*` stands for any letters, `?` for one. Without a port it fits every port of the host."""
    rule: Rule
    """`deny`: they are neither asked nor answered. `allow`: they are, and those that no rule allows are not."""


async def plan_set(ctx: OperationContext, request: SetRule) -> Plan:
    """Refuses what the operation would refuse."""
    check_pattern(request.pattern)
    gate = ctx.parts.remotes.gate
    if request.rule == "deny":
        return Plan(note="Servers that fit would neither be asked nor answered; what they sent stays.")
    is_first = gate.settings.allow is None and all(rule.rule != "allow" for rule in gate.rules)
    if is_first:
        return Plan(note="It would be the first that is allowed: all other servers would be kept out.")
    return Plan(note="Servers that fit would be asked and answered, unless they are denied.")


@operation(
    "server_rules.set",
    Scope.FEDERATION_WRITE,
    plan=plan_set,
    target="pattern",
    route=Route("PUT", PATH + "/{pattern}"),
    errors=(ErrCode.INVALID_PARAM,),
    everywhere=True,
)
async def set_rule(ctx: OperationContext, request: SetRule) -> ServerRule:
    """Allow or deny other homeservers, from the next request on."""
    return await ctx.parts.remotes.gate.put(request.pattern, request.rule)


class DeleteRule(msgspec.Struct, frozen=True):
    """Which rule."""

    pattern: str


async def plan_delete(ctx: OperationContext, request: DeleteRule) -> Plan:
    """Refuses what the operation would refuse."""
    rules = {rule.pattern: rule for rule in ctx.parts.remotes.gate.rules}
    found = rules.pop(request.pattern.lower(), None)
    if found is None:
        raise NotFound("There is no such rule")
    is_last = found.rule == "allow" and all(rule.rule != "allow" for rule in rules.values())
    if is_last and ctx.parts.remotes.gate.settings.allow is None:
        return Plan(note="It is the last that allows: all servers that are not denied would be let in.")
    return Plan(note=f"Servers would not be under this rule any more: {found.rule}.")


@operation(
    "server_rules.delete",
    Scope.FEDERATION_WRITE,
    plan=plan_delete,
    target="pattern",
    route=Route("DELETE", PATH + "/{pattern}"),
    errors=(ErrCode.NOT_FOUND,),
    everywhere=True,
)
async def delete_rule(ctx: OperationContext, request: DeleteRule) -> Done:
    """Take back a rule about other homeservers, from the next request on. Those of the settings stay."""
    await ctx.parts.remotes.gate.delete(request.pattern)
    return Done()
