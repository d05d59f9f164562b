"""The client side: one HTTP session, users, and the few calls that scenarios make."""

import hashlib
import hmac
import itertools
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec
import orjson


class Refused(Exception):
    """An answer that is not 2xx."""


class User(msgspec.Struct, frozen=True):
    """A device of a user."""

    user_id: str
    device_id: str
    token: str


class Api:
    """Speaks to one server."""

    def __init__(self, base: str, secret: str, *, timeout: float = 60) -> None:
        self._base = base
        self._secret = secret.encode()
        self._numbers = itertools.count(1)
        self._run = hashlib.sha256(str(id(self)).encode()).hexdigest()[:6]
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=timeout)
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def call(
        self, method: str, path: str, user: User | None = None, body: Any = None, data: bytes | None = None
    ) -> Any:
        """Ask, and give the decoded answer (or its bytes where it is no JSON)."""
        headers = {} if user is None else {"Authorization": f"Bearer {user.token}"}
        if body is not None:
            data = orjson.dumps(body)
            headers["Content-Type"] = "application/json"
        async with self._session.request(method, self._base + path, data=data, headers=headers) as answer:
            content = await answer.read()
            if answer.status >= 300:
                raise Refused(f"{method} {path}: {answer.status} {content[:200]!r}")
            return orjson.loads(content) if answer.content_type == "application/json" else content

    def name(self) -> str:
        """A new localpart."""
        return f"u{self._run}{next(self._numbers)}"

    def txn(self) -> str:
        """A new transaction id."""
        return f"t{next(self._numbers)}"

    async def register(self, password: str = "correct horse", *, admin: bool = False) -> User:
        """Register a new user with the shared secret."""
        path = "/_synapse/admin/v1/register"
        nonce = (await self.call("GET", path))["nonce"]
        name = self.name()
        parts = "\0".join((nonce, name, password, "admin" if admin else "notadmin"))
        mac = hmac.new(self._secret, parts.encode(), hashlib.sha1).hexdigest()
        body = {"nonce": nonce, "username": name, "password": password, "admin": admin, "mac": mac}
        answer = await self.call("POST", path, body=body)
        return User(answer["user_id"], answer["device_id"], answer["access_token"])

    async def create_room(self, user: User, **options: Any) -> str:
        """Create a room and give its id."""
        answer = await self.call("POST", "/_matrix/client/v3/createRoom", user, options)
        return str(answer["room_id"])

    async def join(self, user: User, room: str) -> None:
        """Join a room."""
        await self.call("POST", f"/_matrix/client/v3/join/{quote(room, safe='')}", user, {})

    async def send(self, user: User, room: str, body: str) -> str:
        """Send a message and give its event id."""
        path = f"/_matrix/client/v3/rooms/{quote(room, safe='')}/send/m.room.message/{self.txn()}"
        answer = await self.call("PUT", path, user, {"msgtype": "m.text", "body": body})
        return str(answer["event_id"])

    async def sync(self, user: User, since: str | None = None, timeout_ms: int = 0, **query: str) -> Any:
        """Sync once."""
        query["timeout"] = str(timeout_ms)
        if since is not None:
            query["since"] = since
        text = "&".join(f"{key}={quote(value, safe='')}" for key, value in query.items())
        return await self.call("GET", f"/_matrix/client/v3/sync?{text}", user)
