"""Declaring an operation: one thing that an administrator can do, whatever path or command asks for it.

    @operation("users.set_admin", Scope.USERS_WRITE, plan=plan_set_admin, target="user_id")
    async def set_admin(ctx: OperationContext, request: SetAdmin) -> Done:
        \"\"\"Make a user an administrator, or an ordinary user again.\"\"\"

The request says everything that the operation depends on; defaults belong to the path that asks. `plan` answers a dry
run: it refuses what the operation would refuse and changes nothing. The native API, its OpenAPI document and the
command line read the record that the decorator leaves.
"""

import inspect
from collections.abc import Callable, Coroutine, Mapping
from enum import StrEnum
from typing import Any, Final, Generic, Protocol, TypeVar, get_type_hints

import msgspec

from chamberlain.admin.actor import Actor
from chamberlain.admin.parts import Parts
from chamberlain.matrix.errcodes import ErrCode

SECRET: Final = msgspec.Meta(extra={"secret": True})
"""Marks a field of a request that no log may have: `Annotated[str, SECRET]`."""


class Scope(StrEnum):
    """What a token may be allowed to do."""

    USERS_READ = "users:read"
    USERS_WRITE = "users:write"
    USERS_PRIVATE = "users:private"
    """Read what only the user should know: addresses and devices."""
    ROOMS_READ = "rooms:read"
    ROOMS_WRITE = "rooms:write"
    MEDIA_READ = "media:read"
    MEDIA_WRITE = "media:write"
    REGISTRATION_READ = "registration:read"
    REGISTRATION_WRITE = "registration:write"
    NOTICES_WRITE = "notices:write"
    JOBS_READ = "jobs:read"
    JOBS_WRITE = "jobs:write"
    ADMINS_WRITE = "admins:write"
    """Change accounts of administrators, beside what the operation asks for."""
    AUDIT_READ = "audit:read"
    AUDIT_WRITE = "audit:write"
    SERVER_READ = "server:read"
    SERVER_WRITE = "server:write"
    FEDERATION_READ = "federation:read"
    FEDERATION_WRITE = "federation:write"
    NONE = "none"
    """The operation checks by itself who may; no token is asked for."""


class Route(msgspec.Struct, frozen=True):
    """Where the native API has an operation, below `/_chamberlain/admin/v1`."""

    method: str
    path: str


class Done(msgspec.Struct, frozen=True):
    """The result of an operation that has nothing to tell."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What an operation would do."""

    users: list[str] = []
    """The users that it would touch."""
    rooms: list[str] = []
    """The rooms that it would touch."""
    rooms_without_admin: list[str] = []
    """The rooms in which nobody with the highest power would be left."""
    cannot_be_undone: list[str] = []
    """What no other operation brings back, in words."""
    note: str = ""
    """What else there is to say."""


class OperationContext:
    """One call: who calls, and what the operation works with."""

    __slots__ = ("actor", "parts")

    def __init__(self, actor: Actor, parts: Parts) -> None:
        self.actor = actor
        self.parts = parts


R = TypeVar("R", bound=msgspec.Struct)
A = TypeVar("A", bound=msgspec.Struct)
Run = Callable[[OperationContext, R], Coroutine[Any, Any, A]]
PlanOf = Callable[[OperationContext, R], Coroutine[Any, Any, Plan]]


class Operation(Generic[R, A]):
    """The record of an operation, which everything else reads."""

    __slots__ = (
        "description",
        "errors",
        "everywhere",
        "logged",
        "name",
        "open_to_target",
        "plan",
        "private",
        "request",
        "result",
        "route",
        "run",
        "scope",
        "summary",
        "target",
    )

    def __init__(
        self,
        name: str,
        scope: Scope,
        run: Run[R, A],
        *,
        plan: PlanOf[R] | None,
        private: bool,
        target: str | None,
        open_to_target: bool,
        route: Route | None,
        errors: tuple[ErrCode, ...],
        everywhere: bool,
    ) -> None:
        hints = get_type_hints(run, include_extras=True)
        doc = inspect.getdoc(run) or ""
        self.name = name
        self.scope = scope
        self.run = run
        self.plan = plan
        self.private = private
        self.target = target
        self.open_to_target = open_to_target
        self.route = route
        self.errors = errors
        self.everywhere = everywhere
        self.request: type[R] = hints["request"]
        self.result: type[A] = hints["return"]
        self.logged = [
            (field.name, field.default)
            for field in msgspec.structs.fields(self.request)
            if not is_secret(field)
        ]
        """What the audit log may have of a request: its fields but the secret ones, each with its default."""
        self.summary = doc.partition("\n")[0]
        self.description = doc.partition("\n")[2].strip()
        if not self.summary:
            raise TypeError(f"the operation {name} has no docstring")

    @property
    def mutates(self) -> bool:
        """Whether it changes anything."""
        return self.plan is not None

    def loggable(self, request: R) -> Mapping[str, Any]:
        """What the audit log has of a request: what is no secret and is not the default."""
        return {name: value for name, default in self.logged if (value := getattr(request, name)) != default}

    def target_of(self, request: R) -> str | None:
        """The user or room that the request is about, or None."""
        return None if self.target is None else getattr(request, self.target)


OPERATIONS: Final[dict[str, Operation[Any, Any]]] = {}
"""Every operation whose module was imported, by its name."""


class Declare(Protocol):
    """Makes an operation of a function."""

    def __call__(self, run: Run[R, A], /) -> Operation[R, A]:
        """Give the record that takes the function's place."""
        ...


def operation(
    name: str,
    scope: Scope,
    *,
    plan: PlanOf[Any] | None = None,
    private: bool = False,
    target: str | None = None,
    open_to_target: bool = False,
    route: Route | None = None,
    errors: tuple[ErrCode, ...] = (),
    everywhere: bool = False,
) -> Declare:
    """Declare the decorated function as an operation; with a `plan` it is one that changes something.

    `private` says that it reads what the audit log must have. `target` names the field of the request that the log is
    searched by; `open_to_target` lets that user call it for themselves. `everywhere`: security hangs on it, so that it
    is answered when it holds on all workers. Raises TypeError for a name given twice.
    """

    def declare(run: Run[R, A], /) -> Operation[R, A]:
        if name in OPERATIONS:
            raise TypeError(f"two operations are named {name}")
        record = Operation(
            name,
            scope,
            run,
            plan=plan,
            private=private,
            target=target,
            open_to_target=open_to_target,
            route=route,
            errors=errors,
            everywhere=everywhere,
        )
        OPERATIONS[name] = record
        return record

    return declare


def is_secret(field: msgspec.structs.FieldInfo) -> bool:
    """Whether a field of a request is marked as `SECRET`."""
    return any(mark is SECRET for mark in getattr(field.type, "__metadata__", ()))
