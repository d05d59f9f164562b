"""The one way to run an operation: checks who may, keeps the audit log, and runs it or its dry run."""

from typing import TypeVar

import msgspec
import orjson

from chamberlain.admin.actor import Actor
from chamberlain.admin.audit import AuditLog
from chamberlain.admin.operation import Operation, OperationContext, Plan, Scope
from chamberlain.admin.parts import Parts
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import Forbidden, MatrixError
from chamberlain.runtime.log import get_logger

R = TypeVar("R", bound=msgspec.Struct)
A = TypeVar("A", bound=msgspec.Struct)

OK = "ok"
REFUSED = "edge"
"""The façade of calls that were refused before it was known what they are to."""

_log = get_logger("admin")


class Runner:
    """Runs operations for actors."""

    def __init__(self, parts: Parts, log: AuditLog) -> None:
        self._parts = parts
        self._audit = log

    async def run(
        self, operation: Operation[R, A], actor: Actor, request: R, *, facade: str, reason: str | None = None
    ) -> A:
        """Run the operation. `facade` names the path or command that asked, `reason` is the actor's own words.

        One that changes anything is written down before it runs, and its outcome after, whatever that is.

        Raises:
            Forbidden: the actor may not run it.
            MatrixError: whatever the operation raises.
        """
        if not operation.mutates:
            return await self._read(operation, actor, request, facade, reason)
        call = await self._begin(operation, actor, request, facade, reason, dry_run=False)
        try:
            check_actor(operation, actor, request)
            result = await operation.run(OperationContext(actor, self._parts), request)
            if operation.everywhere:
                await self._parts.everywhere.wait()
        except BaseException as error:
            await self._end(call, operation, facade, *_outcome_of(error))
            raise
        await self._end(call, operation, facade, OK, "", getattr(result, "job_id", None))
        return result

    async def dry_run(
        self, operation: Operation[R, A], actor: Actor, request: R, *, facade: str, reason: str | None = None
    ) -> Plan:
        """What the operation would do; changes nothing but the audit log. Raises as `run` does."""
        assert operation.plan is not None
        call = await self._begin(operation, actor, request, facade, reason, dry_run=True)
        try:
            check_actor(operation, actor, request)
            plan = await operation.plan(OperationContext(actor, self._parts), request)
        except BaseException as error:
            await self._end(call, operation, facade, *_outcome_of(error))
            raise
        await self._end(call, operation, facade, OK)
        return plan

    async def note_refusal(self, endpoint: str, actor: Actor, error: MatrixError) -> None:
        """Write a call that was refused before it came to an operation."""
        fields = {
            "actor": actor.name,
            "address": actor.address,
            "user_agent": actor.user_agent,
            "message": error.message,
        }
        await self._audit.note(endpoint, REFUSED, error.code, fields)

    async def _read(
        self, operation: Operation[R, A], actor: Actor, request: R, facade: str, reason: str | None
    ) -> A:
        """Run an operation that changes nothing; what is private is given only once it is written who asked.

        What users ask of their own accounts is theirs, and is not written down.
        """
        noted = operation.private and actor.is_admin
        try:
            check_actor(operation, actor, request)
            result = await operation.run(OperationContext(actor, self._parts), request)
        except MatrixError as error:
            if noted:
                fields = _fields_of(operation, actor, request, reason) | {"message": error.message}
                await self._audit.note(operation.name, facade, error.code, fields)
            raise
        if noted:
            fields = _fields_of(operation, actor, request, reason)
            await self._audit.note(operation.name, facade, OK, fields)
        return result

    async def _begin(
        self,
        operation: Operation[R, A],
        actor: Actor,
        request: R,
        facade: str,
        reason: str | None,
        *,
        dry_run: bool,
    ) -> int:
        fields = _fields_of(operation, actor, request, reason)
        return await self._audit.begin(operation.name, facade, fields, dry_run=dry_run)

    async def _end(
        self,
        call: int,
        operation: Operation[R, A],
        facade: str,
        outcome: str,
        message: str = "",
        job_id: str | None = None,
    ) -> None:
        await self._audit.end(call, operation.name, facade, outcome, message, job_id)
        _log.info(
            "operation", operation=operation.name, facade=facade, outcome=outcome, audit=call, job=job_id
        )


def check_actor(operation: Operation[R, A], actor: Actor, request: R) -> None:
    """Raises Forbidden where the actor may not run the operation for this request."""
    if operation.scope is Scope.NONE or actor.may(operation.scope):
        return
    if operation.open_to_target and actor.user_id == (operation.target_of(request) or ""):
        return
    if not actor.is_admin:
        raise Forbidden("You are not a server administrator")
    raise Forbidden(f"This access token lacks the scope {operation.scope}")


def _fields_of(operation: Operation[R, A], actor: Actor, request: R, reason: str | None) -> dict[str, str]:
    return {
        "actor": actor.name,
        "address": actor.address,
        "user_agent": actor.user_agent,
        "target": operation.target_of(request) or "",
        "reason": reason or "",
        "request": orjson.dumps(operation.loggable(request), default=msgspec.to_builtins).decode(),
    }


def _outcome_of(error: BaseException) -> tuple[str, str]:
    if isinstance(error, MatrixError):
        return error.code, error.message
    return ErrCode.UNKNOWN, type(error).__name__
