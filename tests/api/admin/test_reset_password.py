"""Setting other people's passwords, in three dialects."""

from typing import Any

import pytest

from tests.api.admin.asking import DENDRITE, NATIVE, OLD, SYNAPSE, at, calls
from tests.support.asgi import Answer
from tests.support.server import Client, Server

NEW = "a new password"


async def try_login(server: Server, password: str) -> Answer:
    """Log in as alice."""
    body = {
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": "alice"},
        "password": password,
    }
    return await server.anonymous.post("login", body)


def synapse(**body: Any) -> tuple[str, dict[str, Any]]:
    return at(SYNAPSE, "reset_password", "@alice:example.org"), {"new_password": NEW} | body


def old(**body: Any) -> tuple[str, dict[str, Any]]:
    return at(OLD, "reset_password", "@alice:example.org"), {"new_password": NEW} | body


def dendrite(user: str, **body: Any) -> tuple[str, dict[str, Any]]:
    return at(DENDRITE, "resetPassword", user), {"password": NEW} | body


@pytest.mark.parametrize(
    ("call", "answer", "logged_out"),
    [
        (old(), {}, True),
        (synapse(), {}, True),
        (synapse(logout_devices=False), {}, False),
        (dendrite("alice"), {"password_updated": True}, True),
        (dendrite("alice", logout_devices=False), {"password_updated": True}, True),
        (dendrite("@alice:example.org"), {"password_updated": True}, False),
        (dendrite("@alice:example.org", logout_devices=True), {"password_updated": True}, True),
    ],
)
async def test_the_new_password_is_good_and_the_old_one_not(
    server: Server,
    root: Client,
    alice: Client,
    call: tuple[str, dict[str, Any]],
    answer: dict[str, Any],
    logged_out: bool,
) -> None:
    """Devices are logged out or not as each dialect has it."""
    assert (await root.post(*call)).ok() == answer

    assert (await try_login(server, NEW)).status == 200
    (await try_login(server, "correct horse battery")).error(403, "M_FORBIDDEN")
    assert ((await alice.get("account/whoami")).status == 401) is logged_out


async def test_an_administrator_stays_logged_in(server: Server, root: Client) -> None:
    """Who sets their own password keeps the device that asks, and loses the others."""
    other = await server.login("root", "admin password")
    (await root.post(at(SYNAPSE, "reset_password", root.user_id), {"new_password": NEW})).ok()

    assert (await root.get("account/whoami")).status == 200
    assert (await other.get("account/whoami")).status == 401


@pytest.mark.parametrize(
    ("path", "body", "status", "errcode"),
    [
        (at(OLD, "reset_password", "@nobody:example.org"), {"new_password": NEW}, 404, "M_NOT_FOUND"),
        (at(OLD, "reset_password", "@x:elsewhere.org"), {"new_password": NEW}, 400, "M_INVALID_PARAM"),
        (at(OLD, "reset_password", "@alice:example.org"), {"old": NEW}, 400, "M_MISSING_PARAM"),
        (at(OLD, "reset_password", "@alice:example.org"), {"new_password": ""}, 400, "M_MISSING_PARAM"),
        (at(OLD, "reset_password", "@alice:example.org"), {"new_password": 7}, 400, "M_BAD_JSON"),
        (at(OLD, "reset_password", "@alice:example.org"), b"", 400, "M_NOT_JSON"),
        (
            at(SYNAPSE, "reset_password", "@alice:example.org"),
            {"new_password": "x" * 600},
            400,
            "M_INVALID_PARAM",
        ),
        (at(DENDRITE, "resetPassword", "nobody"), {"password": NEW}, 404, "M_NOT_FOUND"),
        (at(DENDRITE, "resetPassword", "@x:elsewhere.org"), {"password": NEW}, 400, "M_INVALID_PARAM"),
        (at(DENDRITE, "resetPassword", "alice"), {}, 400, "M_MISSING_PARAM"),
        (at(DENDRITE, "resetPassword", "alice"), {"password": ""}, 400, "M_MISSING_PARAM"),
        (at(DENDRITE, "resetPassword", "alice"), {"password": "short"}, 400, "M_WEAK_PASSWORD"),
        (at(DENDRITE, "resetPassword", "alice"), {"password": "x" * 600}, 400, "M_BAD_JSON"),
    ],
)
async def test_what_is_refused(
    server: Server, root: Client, alice: Client, path: str, body: Any, status: int, errcode: str
) -> None:
    """Bad calls say what is wrong and leave the password as it was."""
    (await root.request("POST", path, body)).error(status, errcode)

    assert (await try_login(server, "correct horse battery")).status == 200


async def test_no_password_is_written_down(server: Server, root: Client, alice: Client) -> None:
    """The audit log knows that it happened, but no secret: not in any column of any row."""
    (await root.post(*synapse())).ok()
    (await root.post(*dendrite("alice"))).ok()
    body = {"new_password": NEW, "logout_devices": False, "reason": "forgotten"}
    (await root.post(f"{NATIVE}/users/{alice.user_id}/password", body)).ok()
    (await root.post(f"{NATIVE}/users", {"username": "carol", "password": NEW})).ok()
    logged = await calls(root)

    assert [call["operation"] for call in logged[:4]] == ["users.create"] + ["users.reset_password"] * 3
    assert NEW not in str(logged)
    assert "admin password" not in str(logged)
    assert root.token is not None and root.token not in str(logged)
