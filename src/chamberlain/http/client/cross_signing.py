"""`/keys/device_signing/upload` and `/keys/signatures/upload` (client-server API, Cross-signing)."""

from chamberlain.devices.cross_signing import NewKeys
from chamberlain.devices.signatures import Failures
from chamberlain.http.endpoint import Auth, Body, Context, Request, Response, endpoint
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.types import JsonObject


class UploadCrossSigningKeys(Request):
    """The requester's cross-signing keys."""

    master_key: JsonObject | None = None
    self_signing_key: JsonObject | None = None
    user_signing_key: JsonObject | None = None
    auth: JsonObject | None = None


class UploadSignatures(Request):
    """Signed objects by user and key id."""

    signed: Body[dict[str, dict[str, JsonObject]]]


class SignatureFailures(Response):
    """What was wrong with signatures, by user and key id."""

    failures: Failures


@endpoint(
    "POST",
    "/_matrix/client/v3/keys/device_signing/upload",
    auth=Auth.ACCESS_TOKEN,
    uia=True,
    errors=(ErrCode.INVALID_SIGNATURE, ErrCode.MISSING_PARAM, ErrCode.INVALID_PARAM, ErrCode.FORBIDDEN),
)
async def upload_cross_signing_keys(ctx: Context, request: UploadCrossSigningKeys) -> None:
    """Publish cross-signing keys. Replacing keys needs authentication, the first ones do not."""

    async def authenticate() -> None:
        await ctx.services.accounts.uia.confirm(ctx.requester, ctx.method, ctx.path, request.auth)

    keys = NewKeys(request.master_key, request.self_signing_key, request.user_signing_key)
    await ctx.services.devices.cross_signing.upload(ctx.requester.user_id, keys, authenticate)


@endpoint(
    "POST",
    "/_matrix/client/v3/keys/signatures/upload",
    auth=Auth.ACCESS_TOKEN,
    errors=(ErrCode.INVALID_PARAM,),
)
async def upload_signatures(ctx: Context, request: UploadSignatures) -> SignatureFailures:
    """Publish signatures on devices and cross-signing keys."""
    failures = await ctx.services.devices.signatures.upload(ctx.requester.user_id, request.signed)
    return SignatureFailures(failures=failures)
