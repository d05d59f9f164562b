"""Registration tokens, as administrators make them and as people use them up."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from chamberlain.config.registration import Registration
from tests.api.admin.asking import DENDRITE, NATIVE, SYNAPSE, at, calls
from tests.support.asgi import Answer
from tests.support.server import SECRET, Client, Server, test_config

OURS = f"{NATIVE}/registration-tokens"
SYNAPSES = f"{SYNAPSE}/registration_tokens"
DENDRITES = f"{DENDRITE}/registrationTokens"
FAR = 4_000_000_000_000


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    """A server that asks for a registration token."""
    config = test_config(
        tmp_path, registration=Registration(enabled=True, require_token=True, shared_secret=SECRET)
    )
    running = await Server.start(config)
    yield running
    await running.stop()


async def register(server: Server, name: str, token: str) -> Answer:
    """Try to register with a token."""
    auth = {"type": "m.login.registration_token", "token": token}
    body = {"username": name, "password": "Correct horse 1", "auth": auth}
    return await server.anonymous.post("register", body)


@pytest.mark.parametrize("new", [f"{SYNAPSES}/new", f"{DENDRITES}/new", OURS])
async def test_a_token_is_used_up(server: Server, root: Client, new: str) -> None:
    """Somebody registers with a token that an administrator made; the next one is refused."""
    made = (await root.post(new, {"uses_allowed": 1})).ok()
    assert len(made["token"]) == 16

    (await register(server, "carol", made["token"])).ok()
    (await register(server, "dave", made["token"])).error(401, "M_UNAUTHORIZED")
    wanted = {"token": made["token"], "uses_allowed": 1, "pending": 0, "completed": 1, "expiry_time": None}
    assert (await root.get(at(SYNAPSES, made["token"]))).ok() == wanted
    assert (await root.get(at(DENDRITES, made["token"]))).ok() == wanted
    assert (await root.get(f"{SYNAPSES}?valid=true")).ok() == {"registration_tokens": []}
    assert (await root.get(f"{DENDRITES}?valid=false")).ok() == {"registration_tokens": [wanted]}


@pytest.mark.parametrize("path", [SYNAPSES, DENDRITES])
async def test_limits_change_one_by_one(server: Server, root: Client, path: str) -> None:
    """What is left out stays, null lifts a limit, an empty body changes nothing; the same again is the same."""
    body = {"token": "a.B_~-9", "uses_allowed": 0, "expiry_time": FAR}
    first = (await root.post(f"{path}/new", body)).ok()
    one = at(path, "a.B_~-9")
    assert first == body | {"pending": 0, "completed": 0}
    assert (await root.put(one, {})).ok() == first
    assert (await root.put(one, {"uses_allowed": None})).ok() == first | {"uses_allowed": None}
    for _ in range(2):
        answer = (await root.put(one, {"expiry_time": None, "uses_allowed": 2})).ok()
        assert answer == first | {"expiry_time": None, "uses_allowed": 2}
    (await register(server, "carol", "a.B_~-9")).ok()


@pytest.mark.parametrize(
    ("path", "errcode", "taken"), [(SYNAPSES, "M_INVALID_PARAM", 400), (DENDRITES, "M_BAD_JSON", 409)]
)
@pytest.mark.parametrize("limits", ["new", "x"])
async def test_what_is_refused(root: Client, path: str, errcode: str, taken: int, limits: str) -> None:
    """Wrong limits, wrong names and names that are taken; nothing is changed."""
    (await root.post(f"{path}/new", {"token": "x"})).ok()
    bad: list[dict[str, Any]] = [
        {"uses_allowed": -1},
        {"uses_allowed": True},
        {"uses_allowed": "1"},
        {"uses_allowed": 2**60},
        {"expiry_time": 1},
        {"expiry_time": "soon"},
    ]
    names: list[dict[str, Any]] = [{"token": ""}, {"token": "a b"}, {"token": "x" * 65}, {"token": 7}]
    if limits == "new":
        bad += [*names, {"length": 0}, {"length": 65}, {"length": "9"}]
    for body in bad:
        method = "POST" if limits == "new" else "PUT"
        answer = await root.request(method, f"{path}/{limits}", body)
        assert answer.status == 400 and answer.json["errcode"] in (errcode, "M_BAD_JSON"), (body, answer)
    assert (await root.post(f"{path}/new", {"token": "x"})).status == taken
    (await root.get(f"{path}?valid=maybe")).error(400, "M_INVALID_PARAM")
    assert len((await root.get(path)).ok()["registration_tokens"]) == 1


async def test_a_deleted_token_is_gone(server: Server, root: Client) -> None:
    """Nobody registers with it any more; deleting again is 404 by Synapse's path and done by Dendrite's."""
    for path in (SYNAPSES, DENDRITES, OURS):
        (await root.post(OURS, {"token": "x"})).ok()
        assert (await root.delete(f"{path}/x")).ok() == {}
        (await register(server, "carol", "x")).error(401, "M_UNAUTHORIZED")
        (await root.get(f"{path}/x")).error(404, "M_NOT_FOUND")
        (await root.put(f"{path}/x", {"uses_allowed": 1})).error(404, "M_NOT_FOUND")
    (await root.delete(f"{SYNAPSES}/x")).error(404, "M_NOT_FOUND")
    (await root.delete(f"{OURS}/x")).error(404, "M_NOT_FOUND")
    assert (await root.delete(f"{DENDRITES}/x")).ok() == {}


async def test_dry_runs_and_the_log(root: Client) -> None:
    """A dry run refuses what would be refused and changes nothing; the log has who made which token."""
    (await root.post(OURS, {"token": "x", "dry_run": True})).ok()
    (await root.get(f"{OURS}/x")).error(404, "M_NOT_FOUND")
    (await root.put(f"{OURS}/x", {"any_uses": True, "dry_run": True})).error(404, "M_NOT_FOUND")
    (await root.delete(f"{OURS}/x", {"dry_run": True})).error(404, "M_NOT_FOUND")
    (await root.post(OURS, {"token": "x", "uses_allowed": 3})).ok()
    (await root.post(OURS, {"token": "x", "dry_run": True})).error(400, "M_INVALID_PARAM")
    both = {"any_uses": True, "uses_allowed": 3}
    (await root.put(f"{OURS}/x", both)).error(400, "M_INVALID_PARAM")
    ends = {"never_expires": True, "expires_at": FAR}
    (await root.put(f"{OURS}/x", ends)).error(400, "M_INVALID_PARAM")
    (await root.put(f"{OURS}/x", {"any_uses": True, "dry_run": True})).ok()
    (await root.delete(f"{OURS}/x", {"dry_run": True})).ok()

    assert (await root.get(f"{OURS}/x")).ok()["uses_allowed"] == 3
    logged = await calls(root, operation="registration_tokens.create", target="x", outcome="ok")
    assert [call["dry_run"] for call in logged] == [False, True]


async def test_dendrites_path_makes_none_where_none_is_asked_for(tmp_path: Path) -> None:
    """Without `require_token` it answers 403; Synapse's path makes one all the same."""
    server = await Server.start(test_config(tmp_path, registration=Registration(shared_secret=SECRET)))
    try:
        root = await server.admin()
        (await root.post(f"{DENDRITES}/new", {})).error(403, "M_FORBIDDEN")
        (await root.post(f"{SYNAPSES}/new", {"length": 64})).ok()
    finally:
        await server.stop()
