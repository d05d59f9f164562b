"""Asking identity servers whose an address is (Identity Service API, Association lookup, Invitation storage).

Clients name the server, and give a token that they have got there.
"""

from base64 import urlsafe_b64encode
from collections.abc import Mapping
from hashlib import sha256
from typing import Annotated, Any, Final, TypeVar
from urllib.parse import urlencode

import msgspec
import orjson

from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import Forbidden, InvalidParam, MatrixError
from chamberlain.matrix.ids import UserID, is_valid_server_name, is_valid_user_id
from chamberlain.runtime.http_client import HttpClient, OutboundAnswer, OutboundError

T = TypeVar("T")

_TOKEN: Final = r"^[0-9a-zA-Z.=_-]+$"
_HASHED: Final = "sha256"
_PLAIN: Final = "none"


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """A third-party identifier, the identity server that may know it, and a token for that server."""

    id_server: str
    id_access_token: str
    medium: str
    address: str


class PublicKey(msgspec.Struct, frozen=True):
    """A key with which an invitation may be signed, and where one can ask whether it still holds."""

    public_key: str
    key_validity_url: str


class StoredInvite(msgspec.Struct, frozen=True):
    """An invitation that waits at an identity server; `display_name` tells no address."""

    token: Annotated[str, msgspec.Meta(max_length=255, pattern=_TOKEN)]
    public_keys: Annotated[list[PublicKey], msgspec.Meta(min_length=1, max_length=10)]
    display_name: Annotated[str, msgspec.Meta(max_length=255)]


class _HashDetails(msgspec.Struct):
    lookup_pepper: str
    algorithms: list[str]


class _Found(msgspec.Struct):
    mappings: dict[str, Any]


class _Validity(msgspec.Struct):
    valid: bool


class _Refusal(msgspec.Struct):
    errcode: str = "nothing"


class IdentityServers:
    """Calls them, within the rules for addresses that others chose."""

    def __init__(self, http: HttpClient) -> None:
        self._http = http

    async def look_up(self, address: Address) -> UserID | None:
        """The user whose address it is, or None where the server knows of nobody; it hears a hash where it takes one.

        Raises:
            InvalidParam: the server's name is none.
            Forbidden: the server refuses.
            MatrixError: UNKNOWN (502), it cannot be reached, or its answer is none.
        """
        details = await self._ask(address, "GET", "hash_details", None, _HashDetails)
        is_hashed = _HASHED in details.algorithms
        name = f"{address.address.casefold()} {address.medium}"
        if is_hashed:
            digest = sha256(f"{name} {details.lookup_pepper}".encode()).digest()
            name = urlsafe_b64encode(digest).rstrip(b"=").decode()
        body = {
            "algorithm": _HASHED if is_hashed else _PLAIN,
            "pepper": details.lookup_pepper,
            "addresses": [name],
        }
        found = (await self._ask(address, "POST", "lookup", body, _Found)).mappings.get(name)
        return UserID(found) if isinstance(found, str) and is_valid_user_id(found) else None

    async def store_invite(
        self, address: Address, room_id: str, sender: str, shown: Mapping[str, str]
    ) -> StoredInvite:
        """The server keeps an invitation for whoever will have the address, and tells them of it.

        `shown`: what it may tell of the room and the sender.

        Raises: as `look_up` does.
        """
        body = {
            **shown,
            "medium": address.medium,
            "address": address.address.casefold(),
            "room_id": room_id,
            "sender": sender,
        }
        return await self._ask(address, "POST", "store-invite", body, StoredInvite)

    async def is_key_valid(self, url: str, public_key: str) -> bool:
        """Whether an identity server still stands by a key, as it says at the URL that it gave for that.

        Raises:
            MatrixError: UNKNOWN (502), it cannot be reached, or its answer is none.
        """
        if not url.startswith("https://"):
            return False
        target = f"{url}{'&' if '?' in url else '?'}{urlencode({'public_key': public_key})}"
        try:
            got = await self._http.send_json("GET", target, None)
            if got.status == 200:
                return msgspec.json.decode(got.body, type=_Validity).valid
        except (OutboundError, msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
            raise _of_no_use(str(error)) from error
        raise _of_no_use(f"it answers with {got.status}")

    async def _ask(
        self, address: Address, method: str, call: str, body: Mapping[str, Any] | None, answer: type[T]
    ) -> T:
        if not is_valid_server_name(address.id_server):
            raise InvalidParam("`id_server` is no name of a server")
        url = f"https://{address.id_server}/_matrix/identity/v2/{call}"
        try:
            got = await self._http.send_json(
                method, url, None if body is None else orjson.dumps(body), token=address.id_access_token
            )
            if got.status == 200:
                return msgspec.json.decode(got.body, type=answer)
        except (OutboundError, msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
            raise _of_no_use(str(error)) from error
        if got.status >= 500:
            raise _of_no_use(f"it answers with {got.status}")
        # Never with a 401: the client would take itself to be logged out of this server.
        raise Forbidden(f"The identity server answers {got.status} with {_errcode(got)}")


def _of_no_use(reason: str) -> MatrixError:
    return MatrixError(ErrCode.UNKNOWN, f"The identity server cannot be reached: {reason}", status=502)


def _errcode(answer: OutboundAnswer) -> str:
    try:
        return msgspec.json.decode(answer.body, type=_Refusal).errcode[:100]
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "nothing"
