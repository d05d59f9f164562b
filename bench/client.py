"""Users of the server under measurement."""

import hashlib
import hmac
import itertools
from typing import Any
from urllib.parse import quote

import aiohttp
import orjson
from yarl import URL

from bench.server import SECRET, SERVER_NAME

PASSWORD = "a password of the benchmark"


class Refused(Exception):
    """The server answered with another status than 2xx."""


class Client:
    """One user's device. All clients share one pool of connections."""

    _numbers = itertools.count(1)

    def __init__(self, session: aiohttp.ClientSession, base: str) -> None:
        self._session = session
        self._base = base
        self._headers: dict[str, str] = {}
        self._txn = itertools.count(1)
        self.user_id = ""
        self.device_id = ""

    async def ask(self, method: str, path: str, body: Any = None, *, raw: bytes | None = None) -> Any:
        """The JSON of a 2xx answer (bytes for what is not JSON); raises Refused for any other."""
        data = raw if raw is not None else None if body is None else orjson.dumps(body)
        url = URL(self._base + path, encoded=True)
        async with self._session.request(method, url, data=data, headers=self._headers) as answer:
            content = await answer.read()
            if answer.status // 100 != 2:
                raise Refused(f"{method} {path}: {answer.status} {content[:200]!r}")
            return orjson.loads(content) if answer.content_type == "application/json" else content

    async def register(self, *, admin: bool = False) -> "Client":
        """Become a new user by the shared secret."""
        name = f"user{next(self._numbers)}"
        nonce = (await self.ask("GET", "/_synapse/admin/v1/register"))["nonce"]
        parts = [nonce, name, PASSWORD, "admin" if admin else "notadmin"]
        mac = hmac.new(SECRET.encode(), "\0".join(parts).encode(), hashlib.sha1).hexdigest()
        body = {"nonce": nonce, "username": name, "password": PASSWORD, "admin": admin, "mac": mac}
        self._become(await self.ask("POST", "/_synapse/admin/v1/register", body))
        return self

    async def login(self) -> None:
        """Log in again as this user, with a new device; the old one stays."""
        identifier = {"type": "m.id.user", "user": self.user_id}
        body = {"type": "m.login.password", "identifier": identifier, "password": PASSWORD}
        await self.ask("POST", "/_matrix/client/v3/login", body)

    def _become(self, answer: dict[str, Any]) -> None:
        self.user_id = answer.get("user_id", f"@?:{SERVER_NAME}")
        self.device_id = answer["device_id"]
        self._headers = {"Authorization": f"Bearer {answer['access_token']}"}

    async def create_room(self, **options: Any) -> str:
        """The id of a new room."""
        answer = await self.ask("POST", "/_matrix/client/v3/createRoom", options)
        return str(answer["room_id"])

    async def join(self, room: str) -> None:
        """Join a public room."""
        await self.ask("POST", f"/_matrix/client/v3/join/{quote(room, safe='')}", {})

    async def send(self, room: str, text: str = "a message of an ordinary length, as people write") -> str:
        """The id of a new message."""
        path = (
            f"/_matrix/client/v3/rooms/{quote(room, safe='')}/send/m.room.message/{self.device_id}"
            f"{next(self._txn)}"
        )
        answer = await self.ask("PUT", path, {"msgtype": "m.text", "body": text})
        return str(answer["event_id"])

    async def sync(self, since: str | None = None, timeout: int = 0) -> dict[str, Any]:
        """One answer of `/sync`."""
        query = f"?timeout={timeout}" + (f"&since={quote(since)}" if since else "")
        answer: dict[str, Any] = await self.ask("GET", f"/_matrix/client/v3/sync{query}")
        return answer

    def in_room(self, room: str, rest: str) -> str:
        """A path below a room."""
        return f"/_matrix/client/v3/rooms/{quote(room, safe='')}/{rest}"
