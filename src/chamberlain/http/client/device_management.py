"""`/devices` and `/delete_devices` (client-server API, Device management)."""

from chamberlain.devices.device_list import Device
from chamberlain.http.endpoint import Auth, Context, Path, Request, Response, Status, endpoint
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.types import JsonObject


class ShownDevice(Response):
    """A device, where and when (ms) it was used last. What is not known is null: some clients need the key."""

    device_id: str
    display_name: str | None
    last_seen_ip: str | None
    last_seen_ts: int | None


class ShownDevices(Response):
    """The devices of the requester."""

    devices: list[ShownDevice]


class OneDevice(Request):
    """A device of the requester."""

    device_id: Path[str]


class UpdateDevice(Request):
    """A device of the requester and its new name."""

    device_id: Path[str]
    display_name: str | None = None


class DeleteDevice(Request):
    """A device of the requester."""

    device_id: Path[str]
    auth: JsonObject | None = None


class DeleteDevices(Request):
    """Devices of the requester."""

    devices: list[str]
    auth: JsonObject | None = None


def _show(device: Device) -> ShownDevice:
    seen = device.last_seen
    return ShownDevice(
        device_id=device.device_id,
        display_name=device.display_name,
        last_seen_ip=None if seen is None else seen.ip,
        last_seen_ts=None if seen is None else seen.last_seen,
    )


@endpoint("GET", "/_matrix/client/v3/devices", auth=Auth.GUEST_OK)
async def list_devices(ctx: Context) -> ShownDevices:
    """List the requester's devices."""
    devices = await ctx.services.devices.device_list.list_of(ctx.requester.user_id)
    return ShownDevices(devices=[_show(device) for device in devices])


@endpoint("GET", "/_matrix/client/v3/devices/{device_id}", auth=Auth.GUEST_OK, errors=(ErrCode.NOT_FOUND,))
async def get_device(ctx: Context, request: OneDevice) -> ShownDevice:
    """Get one of the requester's devices."""
    return _show(await ctx.services.devices.device_list.get(ctx.requester.user_id, request.device_id))


@endpoint(
    "PUT",
    "/_matrix/client/v3/devices/{device_id}",
    auth=Auth.GUEST_OK,
    errors=(ErrCode.NOT_FOUND, ErrCode.INVALID_PARAM),
)
async def update_device(ctx: Context, request: UpdateDevice) -> Status:
    """Rename a device. Application services make it where it does not exist (201)."""
    requester, devices = ctx.requester, ctx.services.devices.device_list
    may_create = requester.appservice_id is not None
    if may_create and await devices.create(requester.user_id, request.device_id, request.display_name):
        return Status(201)
    await devices.rename(requester.user_id, request.device_id, request.display_name)
    return Status(200)


@endpoint("DELETE", "/_matrix/client/v3/devices/{device_id}", auth=Auth.ACCESS_TOKEN, uia=True)
async def delete_device(ctx: Context, request: DeleteDevice) -> None:
    """Delete a device, its tokens and its keys; harmless when it is gone."""
    await ctx.services.accounts.uia.confirm(ctx.requester, ctx.method, ctx.path, request.auth)
    await ctx.services.devices.device_list.delete(ctx.requester.user_id, [request.device_id])


@endpoint("POST", "/_matrix/client/v3/delete_devices", auth=Auth.ACCESS_TOKEN, uia=True)
async def delete_devices(ctx: Context, request: DeleteDevices) -> None:
    """Delete devices, their tokens and their keys; harmless for those that are gone."""
    await ctx.services.accounts.uia.confirm(ctx.requester, ctx.method, ctx.path, request.auth)
    await ctx.services.devices.device_list.delete(ctx.requester.user_id, request.devices)
