"""Who asks, by token or signature, and whether they may call this endpoint (client-server API, 4.2)."""

from typing import Protocol

from chamberlain.accounts.requester import Requester
from chamberlain.http.context import Context
from chamberlain.http.endpoint import Auth, Endpoint
from chamberlain.http.query import parse_query
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import Forbidden, MatrixError, MissingToken


class Tokens(Protocol):
    """What turns an access token into a requester."""

    def cached(self, token: str) -> Requester | None:
        """The requester of a token seen lately, without waiting."""
        ...

    async def identify(self, token: str) -> Requester:
        """The requester of a token; raises UnknownToken."""
        ...


class Signatures(Protocol):
    """What verifies the signature of another server's request."""

    async def verify(self, method: str, target: str, authorization: str, body: bytes) -> str:
        """The name of the server that signed; raises M_UNAUTHORIZED. `target` is path and query string."""
        ...


async def check_signature(signatures: Signatures, ctx: Context, body: bytes) -> None:
    """Set the origin of `ctx` to the server that signed the request; raises M_UNAUTHORIZED."""
    target = ctx.raw_path
    if ctx.query_string:
        target += b"?" + ctx.query_string
    authorization = ctx.header("authorization") or ""
    ctx.origin = await signatures.verify(ctx.method, target.decode("latin-1"), authorization, body)


async def identify(tokens: Tokens, endpoint: Endpoint, ctx: Context) -> None:
    """Set the requester of `ctx`, who then may call the endpoint.

    Raises:
        MatrixError: M_MISSING_TOKEN, M_UNKNOWN_TOKEN, M_USER_LOCKED, M_GUEST_ACCESS_FORBIDDEN, or M_FORBIDDEN
            where only administrators or application services may.
    """
    auth = endpoint.auth
    token = find_token(ctx)
    if token is None:
        if auth is Auth.OPTIONAL:
            return
        raise MissingToken
    requester = ctx.found_requester = tokens.cached(token) or await tokens.identify(token)
    if requester.is_locked and not endpoint.allow_locked:
        raise MatrixError(ErrCode.USER_LOCKED, "This account is locked", soft_logout=True)
    if auth is Auth.ADMIN:
        if not requester.is_admin:
            raise Forbidden("You are not a server administrator")
    elif auth is Auth.APPSERVICE:
        if requester.appservice_id is None:
            raise Forbidden("Only application services may do this")
    elif auth is Auth.ACCESS_TOKEN and requester.is_guest:
        raise MatrixError(ErrCode.GUEST_ACCESS_FORBIDDEN, "Guests may not do this")


def find_token(ctx: Context) -> str | None:
    """The access token of a request, from its header or (below `/_matrix` alone) its query string."""
    header = ctx.raw_header(b"authorization")
    if header is not None:
        scheme, _, token = header.partition(b" ")
        if scheme.lower() == b"bearer" and token:
            return token.strip().decode("latin-1")
    if ctx.query_string and ctx.path.startswith("/_matrix/"):
        found = parse_query(ctx.query_string).get("access_token")
        if found and found[-1]:
            return found[-1]
    return None
