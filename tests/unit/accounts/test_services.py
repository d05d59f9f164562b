"""Services of accounts, each on its own."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from chamberlain.accounts.captcha import Captcha
from chamberlain.accounts.passwords import MAX_WAITING, Passwords
from chamberlain.accounts.registration import Registration
from chamberlain.accounts.registration_tokens import RegistrationTokens
from chamberlain.accounts.sign_up import SignUp
from chamberlain.accounts.stages import Stages
from chamberlain.accounts.tokens import NewDevice, Tokens
from chamberlain.accounts.uia import Uia
from chamberlain.accounts.users import Users
from chamberlain.accounts.wiring import Accounts, build_accounts
from chamberlain.config.passwords import Passwords as PasswordSettings
from chamberlain.config.registration import Registration as RegistrationSettings
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import Forbidden, LimitExceeded, MatrixError, UIARequired, UnknownToken
from chamberlain.matrix.types import JsonObject
from chamberlain.runtime.http_client import AddressRules, HttpClient
from chamberlain.store import registration_tokens as token_rows
from chamberlain.store.database import Database
from tests.support.clock import FakeClock
from tests.support.nobody import no_profiles
from tests.support.rng import SeededRng

HTTP = HttpClient(AddressRules((), ()))
TWO_STAGES = [("m.login.registration_token", "m.login.dummy"), ("m.other",)]


@pytest.fixture
def accounts(db: Database, clock: FakeClock) -> Accounts:
    """The bundle, with cheap hashes."""
    settings = PasswordSettings(hash_cost="lowest")
    return build_accounts(
        db, clock, SeededRng(), "x.org", RegistrationSettings(enabled=True), settings, HTTP, no_profiles()
    )


async def prove(kind: str, given: JsonObject) -> str | None:
    """Accept any stage that does not say `fail`."""
    if given.get("fail"):
        raise Forbidden("no")
    return "t" if kind == "m.login.registration_token" else None


async def challenge(uia: Uia, auth: object, bound: str = "POST /x") -> JsonObject:
    """What is asked for next."""
    with pytest.raises(UIARequired) as raised:
        await uia.check(bound, TWO_STAGES, auth, prove)
    return raised.value.extra


async def test_flows_of_several_stages(accounts: Accounts, clock: FakeClock) -> None:
    """Each stage is completed once, survives a restart, and holds what it has shown until the end."""
    uia = accounts.uia
    await uia.start()
    await accounts.registration_tokens.create("t", uses_allowed=1)
    session = (await challenge(uia, None))["session"]
    assert "completed" not in await challenge(uia, {"session": session})
    auth = {"session": session, "type": "m.login.registration_token"}
    assert (await challenge(uia, {**auth, "fail": True}))["completed"] == []
    for _ in range(2):
        assert (await challenge(uia, auth))["completed"] == ["m.login.registration_token"]
    held = await accounts.registration_tokens.get("t")
    assert (held.pending, held.completed) == (1, 0)
    other = (await challenge(uia, None))["session"]
    refused = await challenge(uia, {**auth, "session": other})
    assert refused["completed"] == []

    passed = await uia.check("POST /x", TWO_STAGES, {"session": session, "type": "m.login.dummy"}, prove)

    assert (passed.registration_token, passed.token_is_held) == ("t", True)
    made = await accounts.registration.register("alice", "a password", passed=passed)
    assert made.user_id == "@alice:x.org"
    used = await accounts.registration_tokens.get("t")
    assert (used.pending, used.completed) == (0, 1)
    again = await challenge(uia, {"session": session, "type": "m.login.dummy"})
    assert again["session"] != session


async def test_sessions_are_bound_and_end(accounts: Accounts, clock: FakeClock) -> None:
    """A session opens nothing else, has one spelling, and is over after a day; what it held is given back."""
    uia = accounts.uia
    await uia.start()
    await accounts.registration_tokens.create("t", uses_allowed=1)
    session = (await challenge(uia, None))["session"]
    done = {"session": session, "type": "m.other"}
    assert (await challenge(uia, done, "POST /y"))["session"] != session
    for other in (session + "=", session + "!", " " + session, session[:-1]):
        assert (await challenge(uia, {**done, "session": other}))["session"] != session
    await uia.check("POST /x", TWO_STAGES, done, prove)
    await challenge(uia, {"session": session, "type": "m.login.registration_token"})

    await clock.advance(24 * 3600)

    assert (await challenge(uia, done))["session"] != session
    fresh = (await challenge(uia, None))["session"]
    auth = {"session": fresh, "type": "m.login.registration_token"}
    assert (await challenge(uia, auth))["completed"] == ["m.login.registration_token"]


async def test_workers_know_each_others_sessions(db: Database, accounts: Accounts, clock: FakeClock) -> None:
    """A session that one worker gave out is good at another."""
    settings = PasswordSettings(hash_cost="lowest")
    other = build_accounts(
        db, clock, SeededRng(2), "x.org", RegistrationSettings(), settings, HTTP, no_profiles()
    )
    await accounts.uia.start()
    await other.uia.start()
    session = (await challenge(accounts.uia, None))["session"]

    await other.uia.check("POST /x", TWO_STAGES, {"session": session, "type": "m.other"}, prove)


async def test_a_cached_token_dies_with_its_access(accounts: Accounts) -> None:
    """A token that was identified is known without waiting, until anything about its user changes."""
    made = await accounts.registration.register("alice", None, device=NewDevice())
    assert made.login is not None
    token = made.login.access_token
    assert accounts.tokens.cached(token) is None
    requester = await accounts.tokens.identify(token)
    assert accounts.tokens.cached(token) is requester
    await accounts.users.set_admin(made.user_id, True)
    assert accounts.tokens.cached(token) is None
    assert (await accounts.tokens.identify(token)).is_admin
    await accounts.tokens.log_out_all(made.user_id)

    assert accounts.tokens.cached(token) is None
    with pytest.raises(UnknownToken):
        await accounts.tokens.identify(token)


async def test_a_cached_token_expires(accounts: Accounts, clock: FakeClock) -> None:
    """A token is not believed longer than it lasts."""
    made = await accounts.registration.register("alice", None, device=NewDevice(refreshable=True))
    assert made.login is not None
    token = made.login.access_token
    await accounts.tokens.identify(token)
    assert accounts.tokens.cached(token) is not None
    await clock.advance(301)

    assert accounts.tokens.cached(token) is None
    with pytest.raises(UnknownToken) as raised:
        await accounts.tokens.identify(token)
    assert raised.value.soft_logout


@pytest.fixture
async def passwords(db: Database) -> AsyncIterator[Passwords]:
    """Passwords as they are kept by default."""
    service = Passwords(db, PasswordSettings(), SeededRng())
    yield service
    service.close()


async def test_hashes_are_argon2id_with_salt(passwords: Passwords) -> None:
    """Two hashes of one password differ, both are of it, and of no other."""
    one, two = await asyncio.gather(passwords.hash("pässword\0"), passwords.hash("pässword\0"))

    assert one.startswith("$argon2id$") and one != two
    assert await passwords.is_right("pässword\0", one)
    assert not await passwords.is_right("pässword", two)
    assert not await passwords.is_right("", None)
    assert not await passwords.is_right("x", "no hash at all")


async def test_too_many_hashes_are_refused(passwords: Passwords) -> None:
    """Who comes when too many wait is told when to come back, instead of waiting for ever."""
    results = await asyncio.gather(
        *(passwords.is_right("x", "no hash") for _ in range(MAX_WAITING + 1)), return_exceptions=True
    )

    assert isinstance(results[-1], LimitExceeded)
    assert results[:-1] == [False] * MAX_WAITING


def sign_up(db: Database, clock: FakeClock, tokens_needed: bool) -> tuple[SignUp, RegistrationTokens]:
    """Registration by hand."""
    rng = SeededRng()
    users, passwords = Users(db, clock, "x.org"), Passwords(db, PasswordSettings(hash_cost="lowest"), rng)
    tokens, registration_tokens = Tokens(db, clock, rng), RegistrationTokens(db, clock, rng)
    registration = Registration(db, clock, rng, users, passwords, tokens)
    uia = Uia(db, clock, rng, users, passwords)
    settings = RegistrationSettings(enabled=True, require_token=tokens_needed)
    stages = Stages(registration_tokens, Captcha(settings.captcha, HTTP), require_token=tokens_needed)
    return SignUp(settings, stages, registration, passwords, tokens, uia), registration_tokens


async def test_registration_tokens_have_limits(db: Database, clock: FakeClock) -> None:
    """Tokens are made, changed and deleted; what cannot be a token, or its limit, is refused."""
    _, tokens = sign_up(db, clock, True)
    made = await tokens.create(uses_allowed=0, expires_at=clock.now() + 10, length=64)
    assert len(made.token) == 64
    assert not await tokens.is_usable(made.token)
    await tokens.update(made.token, uses_allowed=1, expires_at=clock.now() + 10)
    assert await tokens.is_usable(made.token)
    await clock.advance(1)
    assert not await tokens.is_usable(made.token)
    assert [token.token for token in await tokens.list_all()] == [made.token]
    for wrong in (
        {"token": "a b"},
        {"token": "x" * 65},
        {"length": 0},
        {"uses_allowed": -1},
        {"expires_at": 1},
    ):
        with pytest.raises(MatrixError) as raised:
            await tokens.create(**wrong)  # type: ignore[arg-type]
        assert raised.value.code is ErrCode.INVALID_PARAM
    with pytest.raises(MatrixError, match="M_INVALID_PARAM"):
        await tokens.create(made.token)
    await tokens.delete(made.token)
    with pytest.raises(MatrixError, match="M_NOT_FOUND"):
        await tokens.delete(made.token)
    assert await db.read(token_rows.find, made.token) is None


async def test_registrations_in_one_batch_fail_apart(accounts: Accounts) -> None:
    """Of many who register at once, those whose name is taken are told so, and the others get accounts."""
    names = ["taken", "taken", *(f"user{n}" for n in range(14))]
    results = await asyncio.gather(
        *(accounts.registration.register(name, "x", device=NewDevice()) for name in names),
        return_exceptions=True,
    )

    refused = [result for result in results if isinstance(result, MatrixError)]
    assert [refusal.code for refusal in refused] == [ErrCode.USER_IN_USE]
    for name in names:
        assert await accounts.users.exists(f"@{name}:x.org")
    for result in results:
        if not isinstance(result, BaseException):
            assert result.login is not None
            requester = await accounts.tokens.identify(result.login.access_token)
            assert (requester.user_id, requester.device_id) == (result.user_id, result.login.device_id)
            assert await accounts.profiles.in_rooms(result.user_id) == (result.user_id[1:-6], None)
