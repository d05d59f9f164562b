"""Homeservers, one of them whole and in process, and clients that talk to them as real ones do."""

import asyncio
import hashlib
import hmac
import itertools
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from chamberlain.app import App, build
from chamberlain.config import Config
from chamberlain.config.database import Database
from chamberlain.config.passwords import Passwords
from chamberlain.config.rate_limits import RateLimits
from chamberlain.config.registration import Registration
from chamberlain.federation.transport import StreamedAnswer, TransportAnswer
from chamberlain.matrix.remote_errors import Unreachable
from tests.support.asgi import Answer, call

SERVER_NAME = "example.org"
SECRET = "the shared secret of tests"


def test_config(data_dir: Path, database_url: str | None = None, **changes: Any) -> Config:
    """Settings for a server that a test drives hard: cheap password hashes, no rate limits, open registration."""
    settings: dict[str, Any] = {
        "server_name": SERVER_NAME,
        "data_dir": data_dir,
        "database": Database(url=database_url or f"sqlite:///{data_dir}/chamberlain.db", synchronous="off"),
        "registration": Registration(enabled=True, shared_secret=SECRET),
        "passwords": Passwords(hash_cost="lowest"),
        "rate_limits": RateLimits(enabled=False),
    }
    return Config(**(settings | changes))


test_config.__test__ = False  # type: ignore[attr-defined]


def path(*parts: str, **query: Any) -> str:
    """Join path parts, each percent-encoded whole, and a query."""
    text = "/".join(quote(part, safe="") for part in parts)
    return f"{text}?{urlencode(query, doseq=True)}" if query else text


class Client:
    """One device of one user."""

    def __init__(
        self, server: "Homeserver", token: str | None, user_id: str = "", device_id: str = ""
    ) -> None:
        self.server = server
        self.token = token
        self.user_id = user_id
        self.device_id = device_id
        self.since: str | None = None
        self._txn = itertools.count(1)

    async def request(
        self, method: str, target: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Ask the server; a target that does not start with `/` is taken under `/_matrix/client/v3/`."""
        if not target.startswith("/"):
            target = f"/_matrix/client/v3/{target}"
        sent = dict(headers or {})
        if self.token is not None:
            sent.setdefault("Authorization", f"Bearer {self.token}")
        return await self.server.answer(method, target, sent, body)

    async def get(self, target: str) -> Answer:
        """GET."""
        return await self.request("GET", target)

    async def post(self, target: str, body: Any = None) -> Answer:
        """POST, with `{}` where no body is given."""
        return await self.request("POST", target, {} if body is None else body)

    async def put(self, target: str, body: Any = None) -> Answer:
        """PUT, with `{}` where no body is given."""
        return await self.request("PUT", target, {} if body is None else body)

    async def delete(self, target: str, body: Any = None) -> Answer:
        """DELETE."""
        return await self.request("DELETE", target, body)

    async def create_room(self, **options: Any) -> str:
        """Create a room and give its id."""
        return str((await self.post("createRoom", options)).ok()["room_id"])

    async def join(self, room: str) -> None:
        """Join by id or alias."""
        (await self.post(f"join/{quote(room, safe='')}")).ok()

    async def invite(self, room_id: str, user: "Client") -> None:
        """Invite a user."""
        (await self.post(f"{path('rooms', room_id)}/invite", {"user_id": user.user_id})).ok()

    async def leave(self, room_id: str) -> None:
        """Leave a room."""
        (await self.post(f"{path('rooms', room_id)}/leave")).ok()

    async def say(self, room_id: str, body: str, **content: Any) -> str:
        """Send a text message and give its event id."""
        return await self.send(room_id, "m.room.message", {"msgtype": "m.text", "body": body, **content})

    async def send(self, room_id: str, kind: str, content: dict[str, Any]) -> str:
        """Send a message event and give its event id."""
        target = path("rooms", room_id, "send", kind, f"t{next(self._txn)}")
        return str((await self.put(target, content)).ok()["event_id"])

    async def set_state(self, room_id: str, kind: str, content: dict[str, Any], state_key: str = "") -> str:
        """Send a state event and give its event id."""
        target = path("rooms", room_id, "state", kind, state_key)
        return str((await self.put(target, content)).ok()["event_id"])

    async def state(self, room_id: str, kind: str, state_key: str = "") -> Answer:
        """Read one piece of state."""
        return await self.get(path("rooms", room_id, "state", kind, state_key))

    async def sync(self, *, timeout_ms: int = 0, **query: Any) -> dict[str, Any]:
        """Sync from where the last call of this ended."""
        if self.since is not None:
            query.setdefault("since", self.since)
        answer = (await self.get(f"sync?{urlencode({'timeout': timeout_ms, **query})}")).ok()
        self.since = answer["next_batch"]
        return answer

    async def sync_until(self, found: Any, *, tries: int = 50) -> dict[str, Any]:
        """Sync, waiting for news, until `found(answer)` is true; give that answer."""
        for _ in range(tries):
            answer = await self.sync(timeout_ms=5_000)
            if found(answer):
                return answer
        raise AssertionError("the condition never came true")


class Homeserver(ABC):
    """What answers to clients and lets everyone register. `anonymous` is a client without a token."""

    client_type: type[Client] = Client

    def __init__(self) -> None:
        self.anonymous = self.client_type(self, None)

    @abstractmethod
    async def answer(self, method: str, target: str, headers: Mapping[str, str], body: Any) -> Answer:
        """The answer to one request; `target` is path and query, `body` is bytes or becomes JSON."""

    async def register(self, name: str, password: str = "correct horse battery", **extra: Any) -> Client:
        """Register a user and give a client of its first device."""
        body = {"username": name, "password": password, "auth": {"type": "m.login.dummy"}, **extra}
        answer = (await self.anonymous.post("register", body)).ok()
        return self.client_type(self, answer["access_token"], answer["user_id"], answer["device_id"])

    async def login(self, name: str, password: str = "correct horse battery", **extra: Any) -> Client:
        """Log in with a password and give a client of a new device."""
        body = {
            "type": "m.login.password",
            "identifier": {"type": "m.id.user", "user": name},
            "password": password,
            **extra,
        }
        answer = (await self.anonymous.post("login", body)).ok()
        return self.client_type(self, answer["access_token"], answer["user_id"], answer["device_id"])

    async def admin(self, name: str = "root") -> Client:
        """Make an administrator through shared-secret registration."""
        nonce = (await self.anonymous.get("/_synapse/admin/v1/register")).ok()["nonce"]
        parts = [nonce, name, "admin password", "admin"]
        mac = hmac.new(SECRET.encode(), "\0".join(parts).encode(), hashlib.sha1).hexdigest()
        answer = (
            await self.anonymous.post(
                "/_synapse/admin/v1/register",
                {"nonce": nonce, "username": name, "password": parts[2], "admin": True, "mac": mac},
            )
        ).ok()
        return self.client_type(self, answer["access_token"], answer["user_id"], answer["device_id"])


class Nowhere:
    """The transport of a server that is alone: no test calls the internet by accident."""

    async def send(self, destination: str, *_: Any, **__: Any) -> TransportAnswer:
        """Raise Unreachable."""
        raise Unreachable(destination, "there is no way to it")

    async def stream(self, destination: str, *_: Any, **__: Any) -> StreamedAnswer:
        """Raise Unreachable."""
        raise Unreachable(destination, "there is no way to it")

    async def close(self) -> None:
        """Nothing is open."""


class Server(Homeserver):
    """A server in process."""

    def __init__(self, app: App) -> None:
        super().__init__()
        self.app = app

    @classmethod
    async def start(cls, config: Config, **parts: Any) -> "Server":
        """Build and start a server; without a `transport` among the parts it reaches no other one."""
        parts.setdefault("transport", Nowhere())
        app = await build(config, **parts)
        await app.start()
        return cls(app)

    async def stop(self) -> None:
        """Stop it cleanly."""
        await self.app.close()

    async def answer(self, method: str, target: str, headers: Mapping[str, str], body: Any) -> Answer:
        """Calls the application."""
        return await call(self.app.asgi, method, target, headers, body)


async def until(condition: Any, *, seconds: float = 60) -> None:
    """Return when `await condition()` is true; the databases' threads get a turn between two looks at it."""
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.002)
