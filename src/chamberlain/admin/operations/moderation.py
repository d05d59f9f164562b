"""Operations that end, lock, suspend, move out or let back into accounts, and that tell where one is used."""

from typing import Annotated

import msgspec

from chamberlain.admin import administrators, foresight, guard
from chamberlain.admin.leaving import EVACUATE_USER
from chamberlain.admin.operation import SECRET, Done, OperationContext, Plan, Route, Scope, operation
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import Forbidden
from chamberlain.store.users import User


class JobStarted(msgspec.Struct, frozen=True):
    """The job that does the work, or the one that was doing it already."""

    job_id: str


class Deactivate(msgspec.Struct, frozen=True):
    """Whose account; `erase` has the person forgotten as far as that goes."""

    user_id: str
    erase: bool = False


async def plan_deactivate(ctx: OperationContext, request: Deactivate) -> Plan:
    """The rooms that the user would leave."""
    user = await guard.find_target(ctx, request.user_id)
    guard.check_may_touch(ctx, user)
    plan = await _leaving_all(ctx, request.user_id)
    lost = ["Password, third-party identifiers, devices, keys and key backups are deleted."]
    if request.erase:
        lost.append("The profile is deleted, and messages are hidden from whoever joins later.")
    return Plan(
        users=plan.users,
        rooms=plan.rooms,
        rooms_without_admin=plan.rooms_without_admin,
        cannot_be_undone=lost,
    )


@operation(
    "users.deactivate",
    Scope.USERS_WRITE,
    plan=plan_deactivate,
    target="user_id",
    route=Route("POST", "/users/{user_id}/deactivate"),
    errors=(ErrCode.NOT_FOUND,),
    everywhere=True,
)
async def deactivate(ctx: OperationContext, request: Deactivate) -> JobStarted:
    """Deactivate an account.

    Its tokens die at once; password, third-party identifiers, devices and keys are deleted; then it leaves every room.
    """
    guard.check_may_touch(ctx, await guard.find_target(ctx, request.user_id))
    job = await ctx.parts.deactivation.start(request.user_id, ctx.actor.name, erase=request.erase)
    return JobStarted(job.job_id)


class EvacuateUser(msgspec.Struct, frozen=True):
    """Who leaves."""

    user_id: str


async def plan_evacuate_user(ctx: OperationContext, request: EvacuateUser) -> Plan:
    """The rooms that the user would leave."""
    await guard.find_target(ctx, request.user_id)
    return await _leaving_all(ctx, request.user_id)


@operation(
    "users.evacuate",
    Scope.USERS_WRITE,
    plan=plan_evacuate_user,
    target="user_id",
    route=Route("POST", "/users/{user_id}/evacuate"),
    errors=(ErrCode.NOT_FOUND,),
)
async def evacuate_user(ctx: OperationContext, request: EvacuateUser) -> JobStarted:
    """Have a user leave every room, reject every invitation and retract every knock."""
    await guard.find_target(ctx, request.user_id)
    job = await ctx.parts.jobs.start(EVACUATE_USER, request.user_id, ctx.actor.name)
    return JobStarted(job.job_id)


async def _leaving_all(ctx: OperationContext, user_id: str) -> Plan:
    rooms = await foresight.rooms_of(ctx.parts, user_id)
    return Plan(
        users=[user_id],
        rooms=rooms,
        rooms_without_admin=await foresight.without_admin(ctx.parts, rooms, {user_id}),
        cannot_be_undone=["Rooms that need an invitation have to invite the user again."] if rooms else [],
    )


class ResetPassword(msgspec.Struct, frozen=True):
    """The new password, and whether every device is logged out."""

    user_id: str
    new_password: Annotated[str, SECRET]
    logout_devices: bool


async def plan_reset_password(ctx: OperationContext, request: ResetPassword) -> Plan:
    """Refuses what the operation would refuse."""
    guard.check_may_touch(ctx, await guard.find_active_target(ctx, request.user_id))
    lost = ["Every device is logged out; messages that only it could read are lost."]
    return Plan(users=[request.user_id], cannot_be_undone=lost if request.logout_devices else [])


@operation(
    "users.reset_password",
    Scope.USERS_WRITE,
    plan=plan_reset_password,
    target="user_id",
    route=Route("POST", "/users/{user_id}/password"),
    errors=(ErrCode.NOT_FOUND,),
    everywhere=True,
)
async def reset_password(ctx: OperationContext, request: ResetPassword) -> Done:
    """Set the password of a user. Who sets their own stays logged in on the device that asks."""
    guard.check_may_touch(ctx, await guard.find_active_target(ctx, request.user_id))
    own_device = ctx.actor.device_id if ctx.actor.user_id == request.user_id else None
    await ctx.parts.accounts.passwords.set(
        request.user_id, request.new_password, logout=request.logout_devices, but_device=own_device
    )
    return Done()


class Whois(msgspec.Struct, frozen=True):
    """Whose connections."""

    user_id: str


class Connection(msgspec.Struct, frozen=True):
    """An address at which a device was used; `last_seen` in ms."""

    ip: str
    last_seen: int
    user_agent: str


class Session(msgspec.Struct, frozen=True):
    """The connections of a device, the latest first."""

    connections: list[Connection]


class Device(msgspec.Struct, frozen=True):
    """What is known of a device: one session."""

    sessions: list[Session]


class WhoisAnswer(msgspec.Struct, frozen=True):
    """Where an account is used, by device; the device `""` has what belongs to none that is still there."""

    user_id: str
    devices: dict[str, Device]


@operation(
    "users.whois",
    Scope.USERS_PRIVATE,
    private=True,
    target="user_id",
    open_to_target=True,
    route=Route("GET", "/users/{user_id}/whois"),
    errors=(ErrCode.NOT_FOUND,),
)
async def whois(ctx: OperationContext, request: Whois) -> WhoisAnswer:
    """Tell from which addresses, with which clients and when an account was used lately."""
    await guard.find_target(ctx, request.user_id)
    devices, connections = await ctx.parts.accounts.last_seen.devices_and_connections_of(request.user_id)
    of_devices: dict[str, list[Connection]] = {device_id: [] for device_id in devices}
    for seen in connections:
        device_id = seen.device_id if seen.device_id in of_devices else ""
        connection = Connection(seen.ip, seen.last_seen, seen.user_agent)
        of_devices.setdefault(device_id, []).append(connection)
    return WhoisAnswer(
        request.user_id,
        {device_id: Device([Session(seen_there)]) for device_id, seen_there in of_devices.items()},
    )


class GetModeration(msgspec.Struct, frozen=True):
    """Whose account; `spare_admins` refuses to tell of other administrators."""

    user_id: str
    spare_admins: bool = False


class Moderation(msgspec.Struct, frozen=True):
    """What an account is kept from."""

    locked: bool
    suspended: bool


@operation("users.get_moderation", Scope.USERS_READ, target="user_id", errors=(ErrCode.NOT_FOUND,))
async def get_moderation(ctx: OperationContext, request: GetModeration) -> Moderation:
    """Tell whether an account is locked or suspended."""
    user = await guard.find_active_target(ctx, request.user_id)
    if request.spare_admins and user.is_admin and user.user_id != ctx.actor.user_id:
        raise Forbidden("The user is an administrator")
    return Moderation(user.is_locked, user.is_suspended)


class SetLocked(msgspec.Struct, frozen=True):
    """Whether the account is locked; `spare_admins` refuses to lock administrators."""

    user_id: str
    locked: bool
    spare_admins: bool = False


async def plan_set_locked(ctx: OperationContext, request: SetLocked) -> Plan:
    """Refuses what the operation would refuse."""
    user = await _moderated(ctx, request.user_id, spare_admins=request.spare_admins)
    return Plan(users=[] if user.is_locked == request.locked else [user.user_id])


@operation(
    "users.set_locked",
    Scope.USERS_WRITE,
    plan=plan_set_locked,
    target="user_id",
    route=Route("PUT", "/users/{user_id}/locked"),
    errors=(ErrCode.NOT_FOUND,),
    everywhere=True,
)
async def set_locked(ctx: OperationContext, request: SetLocked) -> Done:
    """Lock an account, or unlock it. A locked one can do nothing but log out; it stays logged in."""
    await _moderated(ctx, request.user_id, spare_admins=request.spare_admins)
    if request.locked:
        await administrators.lock(ctx.parts.db, request.user_id, ctx.parts.clock.now())
    else:
        await ctx.parts.accounts.users.set_locked(request.user_id, False)
    return Done()


class SetSuspended(msgspec.Struct, frozen=True):
    """Whether the account is suspended; `spare_admins` refuses to suspend administrators."""

    user_id: str
    suspended: bool
    spare_admins: bool = False


async def plan_set_suspended(ctx: OperationContext, request: SetSuspended) -> Plan:
    """Refuses what the operation would refuse."""
    user = await _moderated(ctx, request.user_id, spare_admins=request.spare_admins)
    return Plan(users=[] if user.is_suspended == request.suspended else [user.user_id])


@operation(
    "users.set_suspended",
    Scope.USERS_WRITE,
    plan=plan_set_suspended,
    target="user_id",
    route=Route("PUT", "/users/{user_id}/suspended"),
    errors=(ErrCode.NOT_FOUND,),
    everywhere=True,
)
async def set_suspended(ctx: OperationContext, request: SetSuspended) -> Done:
    """Suspend an account, or lift that. A suspended one can read and leave, and reach nobody."""
    await _moderated(ctx, request.user_id, spare_admins=request.spare_admins)
    await ctx.parts.accounts.users.set_suspended(request.user_id, request.suspended)
    return Done()


async def _moderated(ctx: OperationContext, user_id: str, *, spare_admins: bool) -> User:
    if user_id == ctx.actor.user_id:
        raise Forbidden("You cannot do this to your own account")
    user = await guard.find_active_target(ctx, user_id)
    if user.is_admin and spare_admins:
        raise Forbidden("The user is an administrator")
    guard.check_may_touch(ctx, user)
    return user
