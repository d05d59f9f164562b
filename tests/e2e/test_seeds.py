"""Both documents that this server began with, call by call as they are printed, on the real program.

Synapse's `user_admin_api.rst` of 2017 (below `/_matrix/client/r0/admin`), and Dendrite's `adminapi.md` of 2022.
"""

import hashlib
import hmac
import http.client
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
import pytest

from tests.support.process import Process

SECRET = "seed secret"
CONFIG = f"""
server_name = "localhost"
[registration]
shared_secret = "{SECRET}"
[passwords]
hash_cost = "lowest"
[rate_limits]
enabled = false
"""
CLIENT = "/_matrix/client/v3"


def curl(
    server: Process, token: str | None, method: str, path: str, data: str | None = None
) -> tuple[int, Any]:
    """What `curl --header "Authorization: Bearer …" -X METHOD PATH -d DATA` does, the form's content type included."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
    headers = {"Accept": "*/*", "User-Agent": "curl/8.5.0"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    if data is not None:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    try:
        connection.request(method, path, data, headers)
        answer = connection.getresponse()
        return answer.status, orjson.loads(answer.read())
    finally:
        connection.close()


def register(server: Process, name: str, *, admin: bool = False) -> dict[str, Any]:
    """Shared secret registration as both servers document it."""
    status, answer = curl(server, None, "GET", "/_synapse/admin/v1/register")
    assert status == 200, answer
    parts = [answer["nonce"], name, "the old password", "admin" if admin else "notadmin"]
    mac = hmac.new(SECRET.encode(), "\0".join(parts).encode(), hashlib.sha1).hexdigest()
    body = {"nonce": parts[0], "username": name, "password": parts[2], "admin": admin, "mac": mac}
    status, answer = curl(server, None, "POST", "/_synapse/admin/v1/register", orjson.dumps(body).decode())
    assert status == 200, answer
    assert answer["user_id"] == f"@{name}:localhost"
    return dict(answer)


def post(server: Process, token: str, path: str, body: Any = None) -> Any:
    """A client's POST that must succeed."""
    status, answer = server.call("POST", f"{CLIENT}/{path}", {} if body is None else body, token)
    assert status == 200, answer
    return answer


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Process]:
    """The program with a shared secret."""
    (tmp_path / "chamberlain.toml").write_text(CONFIG)
    with Process(tmp_path, "--config", "chamberlain.toml") as running:
        yield running
        running.stop()


def test_the_document_of_2017(server: Process) -> None:
    """Query account, deactivate account, reset password."""
    root = register(server, "root", admin=True)["access_token"]
    alice, bob = register(server, "alice"), register(server, "bob")
    room = post(server, bob["access_token"], "createRoom", {"preset": "public_chat"})["room_id"]
    post(server, alice["access_token"], f"join/{quote(room)}")

    # GET /_matrix/client/r0/admin/whois/<user_id>, "including an access_token of a server admin"
    path = "/_matrix/client/r0/admin/whois/@alice:localhost"
    for status, answer in (
        curl(server, root, "GET", path),
        curl(server, None, "GET", f"{path}?access_token={root}"),
        curl(server, root, "GET", "/_matrix/client/r0/admin/whois/%40alice%3Alocalhost"),
    ):
        assert status == 200
        assert answer["user_id"] == "@alice:localhost"
        (connection,) = answer["devices"][alice["device_id"]]["sessions"][0]["connections"]
        assert set(connection) == {"ip", "last_seen", "user_agent"}
        assert connection["ip"] == "127.0.0.1"
        assert connection["last_seen"] > 1417222374433

    # POST /_matrix/client/r0/admin/reset_password/<user_id> {"new_password": "<secret>"}
    path = "/_matrix/client/r0/admin/reset_password/@alice:localhost"
    assert curl(server, root, "POST", path, '{"new_password": "<secret>"}') == (200, {})
    assert curl(server, alice["access_token"], "GET", f"{CLIENT}/account/whoami")[0] == 401
    alice_token = server.login("alice", "<secret>")

    # POST /_matrix/client/r0/admin/deactivate/<user_id>, "and an empty request body"
    path = "/_matrix/client/r0/admin/deactivate/@alice:localhost"
    for data in (None, ""):
        assert curl(server, root, "POST", path, data) == (200, {"id_server_unbind_result": "success"})
    assert curl(server, alice_token, "GET", f"{CLIENT}/account/whoami")[0] == 401
    member = f"{CLIENT}/rooms/{quote(room)}/state/m.room.member/@alice:localhost"
    assert curl(server, bob["access_token"], "GET", member)[1]["membership"] == "leave"

    for method, what in (("GET", "whois"), ("POST", "deactivate"), ("POST", "reset_password")):
        path = f"/_matrix/client/r0/admin/{what}/@root:localhost"
        body = '{"new_password": "x"}' if method == "POST" else None
        assert curl(server, bob["access_token"], method, path, body)[1]["errcode"] == "M_FORBIDDEN"
        assert curl(server, None, method, path, body)[1]["errcode"] == "M_MISSING_TOKEN"


def test_the_document_of_2022(server: Process) -> None:
    """Evacuate rooms and users, reset a password, send a notice, register, whois."""
    root = register(server, "root", admin=True)["access_token"]
    alice, bob = register(server, "alice"), register(server, "bob")
    room = post(server, bob["access_token"], "createRoom", {"preset": "public_chat"})["room_id"]
    other = post(server, bob["access_token"], "createRoom", {"preset": "public_chat"})["room_id"]
    for joined in (room, other):
        post(server, alice["access_token"], f"join/{quote(joined)}")

    # GET /_dendrite/admin/evacuateRoom/{roomID}
    path = f"/_dendrite/admin/evacuateRoom/{room}"
    status, answer = curl(server, root, "GET", path)
    assert (status, answer["affected"]) == (200, ["@alice:localhost", "@bob:localhost"])
    assert curl(server, root, "GET", path)[1]["affected"] == []

    # GET /_dendrite/admin/evacuateUser/{userID}
    status, answer = curl(server, root, "GET", "/_dendrite/admin/evacuateUser/@alice:localhost")
    assert (status, answer["affected"]) == (200, [other])
    joined_rooms = curl(server, alice["access_token"], "GET", f"{CLIENT}/joined_rooms")
    assert joined_rooms == (200, {"joined_rooms": []})

    # POST /_dendrite/admin/resetPassword/{localpart} {"password": "new_password_here"}
    path = "/_dendrite/admin/resetPassword/alice"
    status, answer = curl(server, root, "POST", path, '{\n    "password": "new_password_here"\n}')
    assert (status, answer) == (200, {"password_updated": True})
    assert curl(server, alice["access_token"], "GET", f"{CLIENT}/account/whoami")[0] == 401
    token = server.login("alice", "new_password_here")

    # POST /_synapse/admin/v1/send_server_notice
    body = """{
        "user_id": "@alice:localhost",
        "content": {
            "msgtype": "m.text",
            "body": "This is my message"
        }
    }"""
    status, answer = curl(server, root, "POST", "/_synapse/admin/v1/send_server_notice", body)
    assert status == 200
    event_id = answer["event_id"]
    _, synced = curl(server, token, "GET", f"{CLIENT}/sync?timeout=0")
    (notices,) = synced["rooms"]["invite"]
    post(server, token, f"join/{quote(notices)}")
    event = curl(server, token, "GET", f"{CLIENT}/rooms/{quote(notices)}/event/{quote(event_id)}")[1]
    assert event["content"]["body"] == "This is my message"

    # GET /_synapse/admin/v1/register: `register` above; GET /_matrix/client/v3/admin/whois/{userId}
    status, answer = curl(server, root, "GET", f"{CLIENT}/admin/whois/@alice:localhost")
    assert (status, answer["user_id"]) == (200, "@alice:localhost")
    assert curl(server, token, "GET", f"{CLIENT}/admin/whois/@alice:localhost")[0] == 200
    assert curl(server, token, "GET", f"{CLIENT}/admin/whois/@root:localhost")[0] == 403


def test_evacuation_survives_kill_9(tmp_path: Path) -> None:
    """Killed in the middle, the job goes on after the restart: everybody leaves, each with one event."""
    (tmp_path / "chamberlain.toml").write_text(CONFIG)
    with Process(tmp_path, "--config", "chamberlain.toml") as server:
        root = register(server, "root", admin=True)["access_token"]
        alice = register(server, "alice")["access_token"]
        rules = [{"type": "m.room.history_visibility", "content": {"history_visibility": "shared"}}]
        options = {"preset": "public_chat", "initial_state": rules}
        room = post(server, alice, "createRoom", options)["room_id"]
        users = [register(server, f"u{n}") for n in range(250)]
        for user in users:
            post(server, user["access_token"], f"join/{quote(room)}")
        path = f"/_chamberlain/admin/v1/rooms/{quote(room)}/evacuate"
        started = curl(server, root, "POST", path, "{}")[1]
        server.stop(signal.SIGKILL)
    with Process(tmp_path, "--config", "chamberlain.toml") as server:
        first = curl(server, root, "POST", f"/_dendrite/admin/evacuateRoom/{quote(room)}")[1]
        path = f"/_chamberlain/admin/v1/jobs/{started['job_id']}?limit=1000"
        found = curl(server, root, "GET", path)[1]
        server.stop()

    everybody = sorted(["@alice:localhost", *(user["user_id"] for user in users)])
    assert found["job"]["state"] == "complete"
    assert sorted(item["item"] for item in found["items"]) == everybody
    assert {item["state"] for item in found["items"]} == {"done"}
    assert len({item["detail"] for item in found["items"]}) == len(everybody)
    assert first["affected"] in ([], everybody)
