"""The real program under hostile requests: odd HTTP, closed doors, and no secret in anything that it writes."""

import hashlib
import hmac
import http.client
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.support.process import Process, unix_get

SECRET = "shared-secret-hush"
WHOIS = "/_matrix/client/v3/admin/whois/"
CONFIG = f"""
server_name = "localhost"
[registration]
enabled = true
shared_secret = "{SECRET}"
[passwords]
hash_cost = "lowest"
[rate_limits]
enabled = false
[log]
level = "debug"
[[listeners]]
port = 0
trusted_proxies = ["127.0.0.0/8"]
[[listeners]]
unix_socket = "clients.sock"
resources = ["client", "media"]
"""


class Site:
    """The running program, an administrator's token, and every secret that was said to it."""

    def __init__(self, server: Process, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.secrets = {SECRET, server.first_admin[1] if server.first_admin else SECRET}
        self.root = self.registered("root", "root-password-hush", admin=True)

    def ask(
        self, method: str, target: str, body: Any = None, token: str | None = None, status: int = 200
    ) -> Any:
        """The JSON of an answer that must have this status."""
        found, answer = self.server.call(method, target, body, token)
        assert found == status, f"{method} {target}: {found} {answer}"
        return answer

    def registered(self, name: str, password: str, *, admin: bool = False) -> str:
        """A token of a new account."""
        nonce = self.ask("GET", "/_synapse/admin/v1/register")["nonce"]
        text = "\0".join([nonce, name, password, "admin" if admin else "notadmin"])
        mac = hmac.new(SECRET.encode(), text.encode(), hashlib.sha1).hexdigest()
        body = {"nonce": nonce, "username": name, "password": password, "admin": admin, "mac": mac}
        answer = self.ask("POST", "/_synapse/admin/v1/register", body)
        self.secrets |= {password, answer["access_token"], mac}
        return str(answer["access_token"])

    def raw(self, request: bytes) -> bytes:
        """What comes back for these bytes until the server closes."""
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=30) as connection:
            connection.sendall(request)
            found = b""
            while chunk := connection.recv(65536):
                found += chunk
            return found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The program, with a listener for clients alone beside the one for all."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "chamberlain.toml").write_text(CONFIG)
    with Process(folder, "--config", "chamberlain.toml") as running:
        yield Site(running, folder)
        running.stop()


def test_requests_that_no_parser_should_take_two_ways(site: Site) -> None:
    """What two servers could read differently is refused, and the connection ended."""
    body = b'{"username": "x"}'
    head = b"POST /_matrix/client/v3/login HTTP/1.1\r\nHost: localhost\r\n"
    for headers in (
        b"Content-Length: 5\r\nContent-Length: 17\r\n",
        b"Content-Length: 17\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: +17\r\n",
        b"Content-Length: 17 17\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"X: a\0b\r\nContent-Length: 17\r\n",
        b" folded: yes\r\nContent-Length: 17\r\n",
    ):
        found = site.raw(head + headers + b"Connection: close\r\n\r\n" + body)
        assert found.startswith(b"HTTP/1.1 4") or found == b"", (headers, found[:300])
        assert found.count(b"HTTP/1.1 ") <= 1, headers


def test_headers_are_bounded(site: Site) -> None:
    """Too many, or too long ones, are refused with an errcode."""
    start = b"GET /_matrix/client/versions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    for headers in (b"X-Many: 1\r\n" * 20_000, b"X-Long: " + b"a" * 200_000 + b"\r\n"):
        found = _cut(site, start + headers + b"\r\n")
        assert not found.startswith(b"HTTP/1.1 200"), len(headers)
    assert site.raw(start + b"X-Some: 1\r\n" * 50 + b"\r\n").startswith(b"HTTP/1.1 200")


def _cut(site: Site, request: bytes) -> bytes:
    try:
        return site.raw(request)
    except ConnectionError:
        return b""


def test_head_and_options_run_nothing(site: Site) -> None:
    """A HEAD of a destructive GET is a 405, as is an unknown method; OPTIONS answers without a token."""
    alice = site.registered("head", "head-password-hush")
    site.ask("POST", "/_matrix/client/v3/createRoom", {}, alice)
    evacuate = "/_dendrite/admin/evacuateUser/@head:localhost"
    for method in ("HEAD", "DELETE", "BREW"):
        status, _ = site.server.call(method, evacuate, None, site.root)
        assert status in (400, 405), method
    status, _ = site.server.call("OPTIONS", evacuate, None, site.root)
    assert status in (204, 404, 405)
    assert len(site.ask("GET", "/_matrix/client/v3/joined_rooms", None, alice)["joined_rooms"]) == 1


def test_which_pages_may_read_what(site: Site) -> None:
    """CORS on `/_matrix` and `/_synapse`; none on the console's API and none on Dendrite's destructive verbs."""
    for target, shared in (
        ("/_matrix/client/versions", True),
        ("/_matrix/client/v3/nonsense", True),
        ("/_synapse/admin/v2/users", True),
        ("/.well-known/matrix/client", True),
        ("/_chamberlain/admin/v1/users", False),
        ("/_dendrite/admin/evacuateRoom/!x:localhost", False),
    ):
        for method in ("GET", "OPTIONS"):
            connection = http.client.HTTPConnection("127.0.0.1", site.server.port, timeout=30)
            connection.request(method, target, headers={"Origin": "https://evil.example"})
            answer = connection.getresponse()
            answer.read()
            connection.close()
            assert (answer.getheader("access-control-allow-origin") == "*") == shared, (method, target)
            assert answer.getheader("access-control-allow-credentials") is None


def test_tokens_in_links_do_not_administrate(site: Site) -> None:
    """`?access_token=` is for `/_matrix` alone."""
    for target in (
        "/_synapse/admin/v2/users",
        "/_dendrite/admin/evacuateUser/@root:localhost",
        "/_chamberlain/admin/v1/users",
        "/_synapse/admin/v1/whois/@root:localhost",
    ):
        answer = site.ask("GET", f"{target}?access_token={site.root}", status=401)
        assert answer["errcode"] == "M_MISSING_TOKEN", target
    site.ask("GET", f"{WHOIS}@root:localhost?access_token={site.root}")


def test_doors_that_are_not_there(site: Site) -> None:
    """A listener without `admin` has nothing that administrates, by whatever name; `admin.sock` is for its owner."""
    closed = site.folder / "clients.sock"
    for target in (
        "/_synapse/admin/v1/register",
        "/_synapse/admin/v1/server_version",
        "/_synapse/admin/v2/users",
        "/_dendrite/admin/evacuateRoom/!x:localhost",
        "/_chamberlain/admin/v1/users",
        "/_matrix/client/r0/admin/deactivate/@root:localhost",
        "/_matrix/client/v1/admin/lock/@root:localhost",
        "/_matrix/client/%72%30/admin/deactivate/@root:localhost",
        "//_synapse/admin/v1/register",
        "/_matrix/../_synapse/admin/v1/register",
        "/_matrix/%2e%2e/_synapse/admin/v1/register",
    ):
        status, answer = unix_get(closed, target)
        assert (status, answer["errcode"]) == (404, "M_UNRECOGNIZED"), target
    assert unix_get(closed, "/_matrix/client/versions")[0] == 200
    assert unix_get(closed, f"{WHOIS}@root:localhost")[0] == 401
    local = next(site.folder.rglob("admin.sock"))
    assert local.stat().st_mode & 0o777 == 0o600
    assert unix_get(local, "/_chamberlain/admin/v1/users")[0] == 200
    assert unix_get(local, "/_matrix/client/v3/account/whoami")[0] == 401


def test_addresses_behind_trusted_proxies(site: Site) -> None:
    """Whois names the rightmost hop that is not a trusted proxy; what it made up before that is not believed."""
    token = site.registered("proxied", "proxied-password-hush")
    for forwarded, expected in (
        ("203.0.113.9", "203.0.113.9"),
        ("198.51.100.66, 203.0.113.10", "203.0.113.10"),
        ("203.0.113.11, 127.0.0.2", "203.0.113.11"),
        ("1.2.3.4, nonsense", "127.0.0.1"),
    ):
        connection = http.client.HTTPConnection("127.0.0.1", site.server.port, timeout=30)
        headers = {
            "Authorization": f"Bearer {token}",
            "X-Forwarded-For": forwarded,
            "User-Agent": expected * 2,
        }
        connection.request("GET", "/_matrix/client/v3/account/whoami", headers=headers)
        assert connection.getresponse().status == 200
        connection.close()
        devices = site.ask("GET", f"{WHOIS}@proxied:localhost", None, site.root)["devices"].values()
        seen = [c for device in devices for session in device["sessions"] for c in session["connections"]]
        assert [c["ip"] for c in seen if c["user_agent"] == expected * 2] == [expected]


def test_no_secret_is_written_down(site: Site) -> None:
    """After logins, password changes, notices and failures, neither the database nor the log has any secret in it."""
    token = site.registered("eve", "eve-password-one-hush")
    client = "/_matrix/client/v3"
    login = {
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": "eve"},
        "refresh_token": True,
    }
    phone = site.ask("POST", f"{client}/login", {**login, "password": "eve-password-one-hush"})
    site.secrets |= {phone["access_token"], phone["refresh_token"]}
    site.ask("POST", f"{client}/login", {**login, "password": "eve-password-wrong-hush"}, status=403)
    fresh = site.ask("POST", f"{client}/refresh", {"refresh_token": phone["refresh_token"]})
    site.secrets |= {fresh["access_token"], fresh.get("refresh_token", SECRET), "eve-password-wrong-hush"}
    auth = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": "eve"}}
    change = {"new_password": "eve-password-two-hush", "auth": {**auth, "password": "eve-password-one-hush"}}
    site.ask("POST", f"{client}/account/password", change, token)
    openid = site.ask("POST", f"{client}/user/@eve:localhost/openid/request_token", {}, token)["access_token"]
    auth["password"] = "eve-password-two-hush"
    sso = site.ask("POST", "/_matrix/client/v1/login/get_token", {"auth": auth}, token)["login_token"]
    site.ask("GET", f"{client}/sync?access_token={token}")
    site.ask("GET", f"{client}/nonsense?access_token={token}", status=404)
    reset = {"new_password": "eve-password-three-hush"}
    site.ask("POST", "/_synapse/admin/v1/reset_password/@eve:localhost", reset, site.root)
    site.ask("POST", "/_synapse/admin/v1/reset_password/@nobody:localhost", reset, site.root, 404)
    site.ask("POST", "/_dendrite/admin/resetPassword/eve", {"password": "eve-password-four-hush"}, site.root)
    site.ask(
        "POST", "/_dendrite/admin/resetPassword/eve", {"password": {"x": "eve-object-hush"}}, site.root, 400
    )
    made = {"username": "made", "password": "made-password-hush", "reason": "because"}
    site.ask("POST", "/_chamberlain/admin/v1/users", made, site.root)
    site.ask("POST", "/_chamberlain/admin/v1/users", made, site.root, 400)
    site.secrets |= {
        "eve-password-two-hush",
        "eve-password-three-hush",
        "eve-password-four-hush",
        openid,
        sso,
    }
    site.secrets |= {"eve-object-hush", "made-password-hush"}
    found = []
    files = [file for file in site.folder.rglob("*") if file.is_file() and file.suffix != ".toml"]
    for file in files:
        content = file.read_bytes()
        found += [f"{secret!r} in {file.name}" for secret in site.secrets if secret.encode() in content]
    assert not found, found
    assert {"serve.log", "chamberlain.db"} <= {file.name for file in files}
    log = (site.folder / "serve.log").read_bytes()
    assert (
        b"reset_password" in log and orjson.dumps("access_token") not in log and b"access_token=" not in log
    )
