"""Account data, tags, push rules, filters and OpenID tokens."""

import asyncio
from urllib.parse import quote

import pytest

from tests.support.server import Client, Server

ROOM = "!room:example.org"


def of(client: Client, *parts: str) -> str:
    """A path below the user's own."""
    return "/".join(quote(part, safe="") for part in ("user", client.user_id, *parts))


async def test_account_data_are_for_all_devices_of_the_user(
    server: Server, alice: Client, bob: Client
) -> None:
    """What one device keeps another reads, other users cannot; global ones and those of rooms are apart."""
    other = await server.login("alice")
    for target in (of(alice, "account_data", "org.x"), of(alice, "rooms", ROOM, "account_data", "org.x")):
        (await alice.get(target)).error(404, "M_NOT_FOUND")
        for content in ({"a": 1}, {}, {"b": [1.5, None, target]}):
            (await alice.put(target, content)).ok()
            assert (await other.get(target)).ok() == content
        (await bob.get(target)).error(403, "M_FORBIDDEN")
        (await bob.put(target, {})).error(403, "M_FORBIDDEN")
    assert (await other.get(of(alice, "account_data", "org.x"))).ok() != (
        await other.get(of(alice, "rooms", ROOM, "account_data", "org.x"))
    ).ok()


async def test_what_only_the_server_sets(alice: Client) -> None:
    """Push rules and the read marker cannot be set as account data; push rules can be read."""
    for type_ in ("m.push_rules", "m.fully_read"):
        (await alice.put(of(alice, "account_data", type_), {})).error(405, "M_BAD_JSON")
        (await alice.put(of(alice, "rooms", ROOM, "account_data", type_), {})).error(405, "M_BAD_JSON")
    assert (await alice.get(of(alice, "account_data", "m.push_rules"))).ok() == (
        await alice.get("pushrules/")
    ).ok()
    (await alice.get(of(alice, "account_data", "m.fully_read"))).error(404, "M_NOT_FOUND")


async def test_account_data_that_cannot_be(alice: Client) -> None:
    """A content that is no object, a room that is none, and a type that is too long are refused."""
    (await alice.put(of(alice, "account_data", "x"), [])).error(400, "M_BAD_JSON")
    (await alice.put(of(alice, "account_data", "x"), b"{")).error(400, "M_NOT_JSON")
    (await alice.put(of(alice, "account_data", "x" * 256), {})).error(400, "M_INVALID_PARAM")
    for room in ("room", "@alice:example.org", "!" + "a" * 10_000):
        target = of(alice, "rooms", room, "account_data", "x")
        (await alice.put(target, {})).error(400, "M_INVALID_PARAM")
        (await alice.get(target)).error(400, "M_INVALID_PARAM")


async def test_tags(server: Server, alice: Client, bob: Client) -> None:
    """Tags with any order are kept and removed, and are the account data m.tag."""
    tags = of(alice, "rooms", ROOM, "tags")
    assert (await alice.get(tags)).ok() == {"tags": {}}
    for _ in range(2):
        (await alice.put(f"{tags}/m.favourite", {"order": 0.25, "org.x": "kept"})).ok()
    (await alice.put(f"{tags}/u.w%C3%B6rk%2Fhome", {})).ok()
    expected = {"m.favourite": {"order": 0.25, "org.x": "kept"}, "u.wörk/home": {}}
    assert (await alice.get(tags)).ok() == {"tags": expected}
    assert (await alice.get(of(alice, "rooms", ROOM, "account_data", "m.tag"))).ok() == {"tags": expected}

    for _ in range(2):
        (await alice.delete(f"{tags}/m.favourite")).ok()
    assert (await alice.get(tags)).ok() == {"tags": {"u.wörk/home": {}}}
    (await bob.get(tags)).error(403, "M_FORBIDDEN")
    (await bob.put(f"{tags}/x", {})).error(403, "M_FORBIDDEN")
    (await bob.delete(f"{tags}/x")).error(403, "M_FORBIDDEN")


async def test_tags_set_at_once_are_all_kept(alice: Client) -> None:
    """None of eight tags that are set at the same time gets lost."""
    tags = of(alice, "rooms", ROOM, "tags")
    await asyncio.gather(*(alice.put(f"{tags}/u.{n}", {"order": n / 8}) for n in range(8)))

    assert set((await alice.get(tags)).ok()["tags"]) == {f"u.{n}" for n in range(8)}


async def test_tags_that_cannot_be(alice: Client) -> None:
    """A name that is too long and an order that is no number are refused; an odd m.tag does no harm."""
    tags = of(alice, "rooms", ROOM, "tags")
    (await alice.put(f"{tags}/{'x' * 256}", {})).error(400, "M_INVALID_PARAM")
    (await alice.put(f"{tags}/x", {"order": "first"})).error(400, "M_BAD_JSON")
    (await alice.put(f"{tags}/x", {"order": True})).error(400, "M_BAD_JSON")
    (await alice.put(f"{of(alice, 'rooms', 'room', 'tags')}/x", {})).error(400, "M_INVALID_PARAM")
    (await alice.put(of(alice, "rooms", ROOM, "account_data", "m.tag"), {"tags": "odd"})).ok()
    assert (await alice.get(tags)).ok() == {"tags": {}}
    (await alice.put(f"{tags}/x", {})).ok()
    assert (await alice.get(tags)).ok() == {"tags": {"x": {}}}


async def test_push_rules_can_be_made_changed_and_deleted(server: Server, alice: Client) -> None:
    """A rule is seen by another device, in its place, until it is deleted."""
    other = await server.login("alice")
    (await alice.put("pushrules/global/content/cake", {"pattern": "cake*lie", "actions": ["notify"]})).ok()
    (await alice.put("pushrules/global/content/tea?after=cake", {"pattern": "tea", "actions": []})).ok()
    rules = (await other.get("pushrules/")).ok()["global"]["content"]
    assert [rule["rule_id"] for rule in rules] == ["cake", "tea"]
    assert (await other.get("pushrules/global/")).ok()["content"] == rules

    target = "pushrules/global/content/cake"
    (await alice.put(f"{target}/enabled", {"enabled": False})).ok()
    (await alice.put(f"{target}/actions", {"actions": [{"set_tweak": "highlight"}]})).ok()
    assert (await other.get(f"{target}/enabled")).ok() == {"enabled": False}
    assert (await other.get(f"{target}/actions")).ok() == {"actions": [{"set_tweak": "highlight"}]}
    assert (await other.get(target)).ok()["pattern"] == "cake*lie"
    (await alice.delete(target)).ok()
    (await alice.delete(target)).error(404, "M_NOT_FOUND")
    (await other.get(target)).error(404, "M_NOT_FOUND")


async def test_default_rules_can_be_changed(server: Server, alice: Client, bob: Client) -> None:
    """A server's rule can be disabled and given other actions, for this user alone, but not deleted."""
    target = "pushrules/global/underride/.m.rule.message"
    (await alice.put(f"{target}/enabled", {"enabled": False})).ok()
    (await alice.put(f"{target}/actions", {"actions": []})).ok()
    assert (await alice.get(target)).ok()["enabled"] is False
    assert (await alice.get(f"{target}/actions")).ok() == {"actions": []}
    assert (await bob.get(target)).ok()["enabled"] is True
    (await alice.delete(target)).error(400, "M_INVALID_PARAM")


@pytest.mark.parametrize(
    ("target", "body", "status", "errcode"),
    [
        ("odd/x", {"actions": []}, 400, "M_INVALID_PARAM"),
        ("override/.mine", {"actions": []}, 400, "M_INVALID_PARAM"),
        ("override/x", {}, 400, "M_MISSING_PARAM"),
        ("override/x", {"actions": "notify"}, 400, "M_INVALID_PARAM"),
        ("content/x", {"actions": []}, 400, "M_MISSING_PARAM"),
        ("override/x?before=nothing", {"actions": []}, 400, "M_UNKNOWN"),
        ("override/nothing/enabled", {"enabled": True}, 404, "M_NOT_FOUND"),
        ("override/.m.rule.master/enabled", {"enabled": "yes"}, 400, "M_BAD_JSON"),
        ("override/.m.rule.master/enabled", {}, 400, "M_MISSING_PARAM"),
        ("override/nothing/actions", {"actions": []}, 404, "M_NOT_FOUND"),
        ("override/.m.rule.master/actions", {"actions": [7]}, 400, "M_INVALID_PARAM"),
    ],
)
async def test_push_rules_that_cannot_be(
    alice: Client, target: str, body: object, status: int, errcode: str
) -> None:
    """What is wrong with a rule is said with its errcode, and nothing is changed."""
    before = (await alice.get("pushrules/")).ok()
    (await alice.put(f"pushrules/global/{target}", body)).error(status, errcode)

    assert (await alice.get("pushrules/")).ok() == before


async def test_push_rules_made_at_once_are_all_kept(alice: Client) -> None:
    """None of eight rules that are made at the same time gets lost."""
    body = {"actions": ["notify"]}
    await asyncio.gather(*(alice.put(f"pushrules/global/room/!r{n}:x.org", body) for n in range(8)))

    rules = (await alice.get("pushrules/")).ok()["global"]["room"]
    assert {rule["rule_id"] for rule in rules} == {f"!r{n}:x.org" for n in range(8)}


async def test_filters(server: Server, alice: Client, bob: Client) -> None:
    """A filter is kept under an id, the same one for the same filter, for its user alone."""
    definition = {"room": {"timeline": {"limit": 5, "types": ["m.room.*"]}}, "event_fields": ["type"]}
    added = (await alice.post(of(alice, "filter"), definition)).ok()
    assert (await alice.post(of(alice, "filter"), definition)).ok() == added
    assert not added["filter_id"].startswith("{")
    target = of(alice, "filter", added["filter_id"])
    assert (await alice.get(target)).ok() == definition

    (await bob.get(target)).error(403, "M_FORBIDDEN")
    (await bob.get(of(bob, "filter", added["filter_id"]))).error(404, "M_NOT_FOUND")
    (await alice.get(of(alice, "filter", "\x01"))).error(404, "M_NOT_FOUND")
    (await alice.post(of(alice, "filter"), {"room": 7})).error(400, "M_BAD_JSON")
    (await alice.post(of(alice, "filter"), {"room": {"rooms": ["odd"]}})).error(400, "M_INVALID_PARAM")


async def test_openid_tokens(server: Server, alice: Client, bob: Client) -> None:
    """The token proves to others who the user is, and opens nothing else."""
    given = (await alice.post(of(alice, "openid", "request_token"))).ok()
    assert given["token_type"] == "Bearer"
    assert given["matrix_server_name"] == "example.org"
    assert given["expires_in"] == 3600

    userinfo = "/_matrix/federation/v1/openid/userinfo?access_token="
    assert (await server.anonymous.get(userinfo + given["access_token"])).ok() == {"sub": alice.user_id}
    (await server.anonymous.get(userinfo + "another")).error(401, "M_UNKNOWN_TOKEN")
    (await server.anonymous.get(userinfo.partition("?")[0])).error(400, "M_MISSING_PARAM")
    (await Client(server, given["access_token"]).get("account/whoami")).error(401, "M_UNKNOWN_TOKEN")
    (await bob.post(of(alice, "openid", "request_token"))).error(403, "M_FORBIDDEN")


async def test_capabilities(server: Server, alice: Client) -> None:
    """The capabilities name every room version and what a user may change."""
    capabilities = (await alice.get("capabilities")).ok()["capabilities"]

    assert set(capabilities["m.room_versions"]["available"]) == {str(n) for n in range(1, 13)}
    assert capabilities["m.room_versions"]["default"] == server.app.services.config.default_room_version
    assert capabilities["m.change_password"] == {"enabled": True}
    assert capabilities["m.profile_fields"] == {"enabled": True}
    assert capabilities["m.3pid_changes"] == {"enabled": False}


async def test_identifiers_are_listed_and_removed(server: Server, alice: Client) -> None:
    """An address of the account can be listed and removed; adding one needs mail, which this server has not."""
    threepids = server.app.services.accounts.threepids
    await threepids.add(alice.user_id, "email", "Alice@Example.org")
    (listed,) = (await alice.get("account/3pid")).ok()["threepids"]
    assert (listed["medium"], listed["address"]) == ("email", "alice@example.org")

    body = {"medium": "email", "address": "alice@example.org"}
    for _ in range(2):
        assert (await alice.post("account/3pid/delete", body)).ok() == {
            "id_server_unbind_result": "no-support"
        }
    assert (await alice.get("account/3pid")).ok() == {"threepids": []}
    (await alice.post("account/3pid/delete", {"medium": "fax", "address": "1"})).error(400, "M_BAD_JSON")
    email = {"client_secret": "s", "email": "a@b.org", "send_attempt": 1}
    for target in ("register/email", "account/password/email", "account/3pid/email"):
        answer = await server.anonymous.post(f"{target}/requestToken", email)
        answer.error(400, "M_THREEPID_MEDIUM_NOT_SUPPORTED")
    phone = {"client_secret": "s", "country": "GB", "phone_number": "07700900001", "send_attempt": 1}
    answer = await alice.post("account/3pid/msisdn/requestToken", phone)
    answer.error(400, "M_THREEPID_MEDIUM_NOT_SUPPORTED")
    (await alice.post("account/3pid/email/requestToken", {})).error(400, "M_MISSING_PARAM")


async def test_an_address_belongs_to_one_account(server: Server, alice: Client, bob: Client) -> None:
    """Nobody gets the address of somebody else, in whatever way it is written."""
    threepids = server.app.services.accounts.threepids
    await threepids.add(alice.user_id, "msisdn", "+44 7700 900001")
    with pytest.raises(Exception, match="M_THREEPID_IN_USE"):
        await threepids.add(bob.user_id, "msisdn", "447700900001")
    await threepids.add(alice.user_id, "msisdn", "447700900001")

    assert await threepids.find_user("msisdn", "+447700900001") == alice.user_id
