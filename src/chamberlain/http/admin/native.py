"""Chamberlain's own administration API: one endpoint for each operation that has a route, made from its record.

Whatever changes anything takes `dry_run` (answer with what would happen, as a `Plan`), `reason` (kept in the audit log)
and, where it starts a job, `wait` (answer when the job is finished).
"""

import re
import types
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

import msgspec

from chamberlain.admin import operations
from chamberlain.admin.actor import actor_of
from chamberlain.admin.operation import Operation, Route, Scope
from chamberlain.http.endpoint import Auth, Context, In, Request, endpoint
from chamberlain.http.operations import run

PREFIX = "/_chamberlain/admin/v1"
FACADE = "native"

Handler = Callable[[Context, Request], Coroutine[Any, Any, object]]


def _request_type(operation: Operation[Any, Any], route: Route) -> type[Request]:
    """The request Struct of the endpoint: the operation's own fields at their places, and what changes take."""
    holes = set(re.findall(r"\{(\w+)\}", route.path))
    annotations: dict[str, Any] = {}
    namespace: dict[str, Any] = {"__doc__": operation.request.__doc__, "__annotations__": annotations}
    for field in msgspec.structs.fields(operation.request):
        place = In.PATH if field.name in holes else In.QUERY if route.method == "GET" else None
        annotations[field.name] = field.type if place is None else Annotated[field.type, place]
        if not field.required:
            options: Any = {"default": field.default, "default_factory": field.default_factory}
            namespace[field.name] = msgspec.field(name=field.encode_name, **options)
    if operation.mutates:
        annotations |= {"dry_run": bool, "reason": str | None}
        namespace |= {"dry_run": False, "reason": None}
    if _starts_job(operation):
        annotations["wait"] = bool
        namespace["wait"] = False
    name = "".join(part.title() for part in re.split(r"[._]", operation.name))
    made: type[Request] = types.new_class(name, (Request,), {}, lambda body: body.update(namespace))
    return made


def _starts_job(operation: Operation[Any, Any]) -> bool:
    return any(field.name == "job_id" for field in msgspec.structs.fields(operation.result))


def _handler(operation: Operation[Any, Any], request_type: type[Request]) -> Handler:
    names = [field.name for field in msgspec.structs.fields(operation.request)]

    async def handle(ctx: Context, request: Any) -> object:
        wanted = operation.request(**{name: getattr(request, name) for name in names})
        if not operation.mutates:
            return await run(ctx, operation, wanted, facade=FACADE)
        if request.dry_run:
            ctx.is_audited = True
            actor = actor_of(ctx.found_requester, ctx.client_ip, ctx.user_agent)
            return await ctx.services.admin.runner.dry_run(
                operation, actor, wanted, facade=FACADE, reason=request.reason
            )
        result = await run(ctx, operation, wanted, facade=FACADE, reason=request.reason)
        if _starts_job(operation) and request.wait:
            await ctx.services.admin.jobs.wait(result.job_id)
        return result

    handle.__name__ = handle.__qualname__ = operation.name.replace(".", "_")
    doc = f"{operation.summary}\n\n{operation.description}".strip()
    if operation.mutates:
        doc += "\n\nWith `dry_run` nothing is changed, and the answer tells what would be."
    handle.__doc__ = doc
    handle.__annotations__ = {"ctx": Context, "request": request_type, "return": operation.result}
    return handle


def _auth(operation: Operation[Any, Any]) -> Auth:
    if operation.scope is Scope.NONE:
        return Auth.NONE
    return Auth.ACCESS_TOKEN if operation.open_to_target else Auth.ADMIN


def _declare() -> dict[str, Handler]:
    made: dict[str, Handler] = {}
    for operation in operations.load().values():
        if operation.route is not None:
            handler = _handler(operation, _request_type(operation, operation.route))
            declare = endpoint(
                operation.route.method,
                PREFIX + operation.route.path,
                auth=_auth(operation),
                errors=operation.errors,
            )
            made[handler.__name__] = declare(handler)
    return made


globals().update(_declare())
