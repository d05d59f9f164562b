"""One server for a whole module of generated tests, with accounts that are made again when a request ends them."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
import pytest_asyncio

from chamberlain.config.registration import Registration
from chamberlain.http.endpoint import Auth, Endpoint, is_admin
from tests.support.asgi import Answer
from tests.support.server import SECRET, Client, Server, test_config
from tests.support.surface import Parts


class Ground:
    """A server to try requests on."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._made = 0
        self._user: Client | None = None
        self._admin: Client | None = None
        self._room = ""
        self._event = ""
        self._victim = ""
        self._since = ""
        self._media = ""

    async def user(self) -> Client:
        """A normal user, in a room."""
        if self._user is None or (await self._user.get("account/whoami")).status != 200:
            self._made += 1
            self._user = await self.server.register(f"user{self._made}")
            self._victim = (await self.server.register(f"victim{self._made}")).user_id
            self._room = await self._user.create_room(invite=[self._victim])
            self._event = await self._user.say(self._room, "hello")
            self._since = (await self._user.sync())["next_batch"]
            media = await self._user.request(
                "POST", "/_matrix/media/v3/upload", b"some bytes", {"content-type": "text/plain"}
            )
            self._media = media.ok()["content_uri"].rpartition("/")[2]
        return self._user

    async def admin(self) -> Client:
        """An administrator."""
        if self._admin is None or (await self._admin.get("account/whoami")).status != 200:
            self._made += 1
            self._admin = await self.server.admin(f"admin{self._made}")
        return self._admin

    async def guest(self) -> Client:
        """A guest."""
        answer = (await self.server.anonymous.post("register?kind=guest")).ok()
        return Client(self.server, answer["access_token"], answer["user_id"], answer["device_id"])

    async def caller(self, endpoint: Endpoint) -> Client:
        """Who may call the endpoint."""
        if endpoint.auth is Auth.NONE:
            return self.server.anonymous
        return await (self.admin() if is_admin(endpoint) else self.user())

    async def names(self) -> dict[str, str]:
        """Good values for holes of paths and keys of bodies."""
        user = await self.user()
        return {
            "user_id": user.user_id,
            "room_id": self._room,
            "event_id": self._event,
            "device_id": user.device_id,
            "server_name": "example.org",
            "room_id_or_alias": self._room,
            "localpart": user.user_id[1:].partition(":")[0],
            "receipt_type": "m.read",
            "kind": "override",
            "new_version": "11",
            "room_alias": f"#fuzz{self._made}:example.org",
            "rule_id": "rule",
            "version": "1",
            "media_id": self._media,
            "since": self._since,
            "from": self._since,
            "at": self._since,
            "key_name": "displayname",
            "target": self._victim,
            "type": "m.login.password",
            "password": "correct horse battery",
        }

    async def parts(self, endpoint: Endpoint, names: Mapping[str, str] | None = None) -> Parts:
        """A request that fits, with some values of its path given."""
        return Parts(endpoint, await self.names() | dict(names or {}))

    async def send(self, parts: Parts, client: Client | None = None) -> Answer:
        """The answer to a request of whoever may make it; it comes in seconds and is an error of Matrix or none."""
        client = client or await self.caller(parts.endpoint)
        return await self.ask(client, parts.endpoint.method, parts.target, parts.body)

    async def ask(self, client: Client, method: str, target: str, body: Any = None) -> Answer:
        """The answer to any request, held against what every answer must be."""
        async with asyncio.timeout(60):
            answer = await client.request(method, target, body)
        shown = f"{method} {target[:300]} {str(body)[:300]}: {answer.status} {answer.body[:300]!r}"
        is_ours = answer.status >= 500 and answer.json.get("errcode") == "M_UNKNOWN"
        assert not is_ours or "cannot be reached" in answer.json["error"], shown
        if answer.status >= 400 and method != "HEAD":
            assert isinstance(answer.json, dict), shown
            assert "errcode" in answer.json or "flows" in answer.json, shown
        return answer


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ground(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Ground]:
    """A server of this module of tests."""
    registration = Registration(enabled=True, guests=True, shared_secret=SECRET)
    server = await Server.start(test_config(tmp_path_factory.mktemp("ground"), registration=registration))
    yield Ground(server)
    await server.stop()
