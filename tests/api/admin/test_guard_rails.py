"""Guard rails: nobody locks out themself, or the last administrator, or touches another without the right."""

import asyncio

import pytest

from chamberlain.admin.actor import Actor
from chamberlain.admin.operations.accounts import CreateUser, SetAdmin, create_user, set_admin
from chamberlain.admin.operations.moderation import (
    Deactivate,
    ResetPassword,
    SetLocked,
    deactivate,
    reset_password,
    set_locked,
)
from chamberlain.matrix.errors import Forbidden, MatrixError
from chamberlain.matrix.ids import UserID
from tests.api.admin.asking import NATIVE, SYNAPSE
from tests.support.server import Client, Server

FIRST = "@admin:example.org"


async def test_nobody_demotes_or_locks_themself(root: Client) -> None:
    """One's own rights cannot be taken, nor one's own account locked or suspended."""
    (await root.put(f"{SYNAPSE}/users/{root.user_id}/admin", {"admin": False})).error(400, "M_UNKNOWN")
    for what in ("locked", "suspended"):
        (await root.put(f"{NATIVE}/users/{root.user_id}/{what}", {what: True})).error(403, "M_FORBIDDEN")

    assert (await root.get(f"{SYNAPSE}/rooms")).status == 200


async def test_the_last_administrator_stays(server: Server, root: Client) -> None:
    """The last one who can log in can be demoted, locked or deactivated by nobody, themself included."""
    (await root.put(f"{SYNAPSE}/users/{FIRST}/admin", {"admin": False})).ok()
    local = Actor(name="local socket", is_admin=True)
    run = server.app.services.admin.runner.run
    for operation, request in (
        (set_admin, SetAdmin(root.user_id, False)),
        (set_locked, SetLocked(root.user_id, True)),
        (deactivate, Deactivate(root.user_id)),
    ):
        with pytest.raises(MatrixError) as refused:
            await run(operation, local, request, facade="test")  # type: ignore[arg-type]
        assert (refused.value.code, refused.value.status) == ("M_FORBIDDEN", 403)
    (await root.post(f"{SYNAPSE}/deactivate/{root.user_id}")).error(403, "M_FORBIDDEN")

    assert (await root.get(f"{SYNAPSE}/rooms")).status == 200


async def test_administrators_who_demote_each_other_leave_one(server: Server) -> None:
    """However many demotions race, one administrator is left."""
    admins = [await server.admin(f"a{n}") for n in range(4)]
    users = [FIRST, *(admin.user_id for admin in admins)]
    local = Actor(name="local socket", is_admin=True)
    run = server.app.services.admin.runner.run
    results = await asyncio.gather(
        *(run(set_admin, local, SetAdmin(user, False), facade="test") for user in users),
        return_exceptions=True,
    )

    assert sum(isinstance(result, MatrixError) for result in results) == 1
    left = [admin for admin in admins if (await admin.get(f"{SYNAPSE}/rooms")).status == 200]
    assert len(left) <= 1


async def test_a_scoped_token_does_what_it_names(server: Server, root: Client, alice: Client) -> None:
    """An operation whose scope is not named cannot be reached, and administrators need a scope of their own."""
    run = server.app.services.admin.runner.run
    helper = Actor(
        name="@bot:example.org",
        user_id=UserID("@bot:example.org"),
        is_admin=True,
        scopes=frozenset({"users:write"}),
    )
    await run(reset_password, helper, ResetPassword(alice.user_id, "a new password", False), facade="test")
    for operation, request in (
        (reset_password, ResetPassword(root.user_id, "a new password", False)),
        (set_locked, SetLocked(root.user_id, True)),
        (deactivate, Deactivate(root.user_id)),
        (set_admin, SetAdmin(alice.user_id, True)),
        (create_user, CreateUser(username="x", admin=True)),
    ):
        with pytest.raises(Forbidden):
            await run(operation, helper, request, facade="test")  # type: ignore[arg-type]
    reader = Actor(name="@r:example.org", is_admin=True, scopes=frozenset({"users:read"}))
    with pytest.raises(Forbidden, match="users:write"):
        await run(
            reset_password, reader, ResetPassword(alice.user_id, "a new password", False), facade="test"
        )


async def test_the_specification_spares_administrators(root: Client, server: Server, alice: Client) -> None:
    """Locking and suspending by the paths of the specification: users, but neither administrators nor oneself."""
    other = await server.admin("other")
    for what, key in (("suspend", "suspended"), ("lock", "locked")):
        base = f"/_matrix/client/v1/admin/{what}"
        assert (await root.get(f"{base}/{alice.user_id}")).ok() == {key: False}
        assert (await root.put(f"{base}/{alice.user_id}", {key: True})).ok() == {key: True}
        assert (await root.get(f"{base}/{alice.user_id}")).ok() == {key: True}
        for method, body in (("GET", None), ("PUT", {key: True})):
            (await root.request(method, f"{base}/{other.user_id}", body)).error(403, "M_FORBIDDEN")
            (await root.request(method, f"{base}/@x:elsewhere.org", body)).error(400, "M_INVALID_PARAM")
            (await root.request(method, f"{base}/@nobody:example.org", body)).error(404, "M_NOT_FOUND")
        (await root.put(f"{base}/{root.user_id}", {key: True})).error(403, "M_FORBIDDEN")
        (await root.put(f"{base}/{alice.user_id}", {key: "yes"})).error(400, "M_BAD_JSON")
    locked = (await alice.get("account/whoami")).error(401, "M_USER_LOCKED")
    assert locked["soft_logout"] is True
    (await root.put(f"/_matrix/client/v1/admin/lock/{alice.user_id}", {"locked": False})).ok()
    assert (await alice.get("account/whoami")).status == 200
    (await root.post(f"{SYNAPSE}/deactivate/{alice.user_id}")).ok()
    (await root.get(f"/_matrix/client/v1/admin/lock/{alice.user_id}")).error(404, "M_NOT_FOUND")


async def test_suspending_as_synapse_has_it(root: Client, alice: Client) -> None:
    """The key of the answer has the user's id in it."""
    answer = await root.put(f"{SYNAPSE}/suspend/{alice.user_id}", {"suspend": True})

    assert answer.ok() == {f"user_{alice.user_id}_suspended": True}
    (await root.put(f"{SYNAPSE}/suspend/{alice.user_id}", {})).error(400, "M_MISSING_PARAM")
