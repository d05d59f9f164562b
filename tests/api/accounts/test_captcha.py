"""Registration behind a captcha, with a service on this machine that checks the answers."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from chamberlain.config.outbound import Outbound
from chamberlain.config.registration import Captcha, Registration
from tests.support.asgi import Answer
from tests.support.remote import serve
from tests.support.server import Server, test_config

PASSWORD = "correct horse battery"
CAPTCHA = "m.login.recaptcha"


class Verifier:
    """Answers as the services do: an answer is good once. `broken`: what it says instead."""

    def __init__(self) -> None:
        self.good = {"solved", "solved too"}
        self.broken: web.Response | None = None
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        fields = await request.post()
        if self.broken is not None:
            return self.broken
        solved = fields["secret"] == "the secret" and fields["response"] in self.good
        self.good.discard(str(fields["response"]))
        return web.json_response(
            {"success": solved, "error-codes": [] if solved else ["invalid-input-response"]}
        )


@pytest.fixture
async def verifier() -> AsyncIterator[Verifier]:
    """The service that checks."""
    made = Verifier()
    async with serve(made.answer) as port:
        made.url = f"http://127.0.0.1:{port}/siteverify"
        yield made


async def start(
    folder: Path, url: str, *, allowed: str = "127.0.0.1/32", require_token: bool = False
) -> Server:
    """A server that asks for a captcha."""
    captcha = Captcha(site_key="the site key", secret="the secret", verify_url=url)
    return await Server.start(
        test_config(
            folder,
            registration=Registration(enabled=True, require_token=require_token, captcha=captcha),
            outbound=Outbound(allowed_addresses=(allowed,)),
        )
    )


@pytest.fixture
async def guarded(tmp_path: Path, verifier: Verifier) -> AsyncIterator[Server]:
    """A running server that asks for a captcha."""
    server = await start(tmp_path, verifier.url)
    yield server
    await server.stop()


async def ask(server: Server, auth: object = None, name: str = "alice") -> Answer:
    """Try to register."""
    body = {"username": name, "password": PASSWORD}
    return await server.anonymous.post("register", body if auth is None else {**body, "auth": auth})


async def test_a_solved_captcha_gives_an_account(guarded: Server) -> None:
    """Clients are told the site key; a solved captcha makes the account, and the same answer makes no second."""
    first = await ask(guarded)
    assert first.status == 401
    assert first.json["flows"] == [{"stages": [CAPTCHA]}]
    assert first.json["params"] == {CAPTCHA: {"public_key": "the site key"}}

    auth = {"type": CAPTCHA, "response": "solved"}
    made = (await ask(guarded, {**auth, "session": first.json["session"]})).ok()

    assert made["user_id"] == "@alice:example.org"
    assert (await guarded.login("alice")).user_id == "@alice:example.org"
    (await ask(guarded, auth, "bob")).error(401, "M_UNAUTHORIZED")


async def test_a_wrong_answer_may_be_tried_again(guarded: Server) -> None:
    """A wrong or missing answer, and a dummy, make no account; the session stays good for the right one."""
    session = (await ask(guarded)).json["session"]
    wrong = await ask(guarded, {"type": CAPTCHA, "session": session, "response": "wrong"})
    wrong.error(401, "M_UNAUTHORIZED")
    assert wrong.json["session"] == session
    assert wrong.json["flows"] == [{"stages": [CAPTCHA]}]
    (await ask(guarded, {"type": "m.login.dummy", "session": session})).error(401, "M_UNRECOGNIZED")
    (await ask(guarded, {"type": CAPTCHA, "session": session})).error(400, "M_MISSING_PARAM")
    for no_answer in (7, "x" * 20_000):
        (await ask(guarded, {"type": CAPTCHA, "session": session, "response": no_answer})).error(
            400, "M_BAD_JSON"
        )
    available = (await guarded.anonymous.get("register/available?username=alice")).ok()
    assert available == {"available": True}

    (await ask(guarded, {"type": CAPTCHA, "session": session, "response": "solved"})).ok()


async def test_a_captcha_and_a_token(tmp_path: Path, verifier: Verifier) -> None:
    """With both, both are asked for, and a solved captcha is not asked for again."""
    server = await start(tmp_path, verifier.url, require_token=True)
    await server.app.services.accounts.registration_tokens.create("good")
    first = await ask(server)
    assert first.json["flows"] == [{"stages": [CAPTCHA, "m.login.registration_token"]}]
    session = first.json["session"]

    halfway = await ask(server, {"type": CAPTCHA, "session": session, "response": "solved"})
    assert (halfway.status, halfway.json["completed"]) == (401, [CAPTCHA])
    assert "errcode" not in halfway.json
    again = await ask(server, {"type": CAPTCHA, "session": session, "response": "solved"})
    assert (again.status, again.json["completed"]) == (401, [CAPTCHA])

    (await ask(server, {"type": "m.login.registration_token", "session": session, "token": "good"})).ok()
    await server.stop()


@pytest.mark.parametrize(
    "broken", [(500, b'{"success": true}'), (200, b"<html>"), (200, b"[]"), (302, b""), (200, b"\xff")]
)
async def test_a_service_that_is_broken(
    guarded: Server, verifier: Verifier, broken: tuple[int, bytes]
) -> None:
    """When the service talks nonsense the stage fails, and says that it is not the user's fault."""
    verifier.broken = web.Response(status=broken[0], body=broken[1])
    answer = await ask(guarded, {"type": CAPTCHA, "response": "solved"})

    answer.error(401, "M_UNAUTHORIZED")
    assert "could not be checked" in answer.json["error"]
    verifier.broken = None
    (await ask(guarded, {"type": CAPTCHA, "session": answer.json["session"], "response": "solved"})).ok()


async def test_a_service_that_is_down_or_inside(tmp_path: Path, verifier: Verifier) -> None:
    """A service that does not listen, or whose address is closed to outbound calls, fails the stage."""
    for number, (url, allowed) in enumerate(
        [("http://127.0.0.1:1/", "127.0.0.1/32"), (verifier.url, "192.0.2.1/32")]
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        server = await start(folder, url, allowed=allowed)
        answer = await ask(server, {"type": CAPTCHA, "response": "solved"})
        await server.stop()

        answer.error(401, "M_UNAUTHORIZED")
        assert "could not be checked" in answer.json["error"]
    assert "solved" in verifier.good
