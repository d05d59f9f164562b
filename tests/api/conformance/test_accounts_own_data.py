"""Profiles, account data, tags, push rules, filters and OpenID, with every errcode, as another client sees them."""

from typing import Any
from urllib.parse import quote

from tests.api.conformance.table import check, found
from tests.support.server import Client, Server

OWN = "user/@alice:example.org"
HERS = "user/@bob:example.org"
RULES = "pushrules/global"


async def test_profiles(server: Server, alice: Client, bob: Client) -> None:
    """Public to read, one's own to write; each wrong value has its errcode; a removed field is gone for all."""
    me = "profile/@alice:example.org"
    for field, value in (
        ("displayname", "Ålice 🐝"),
        ("avatar_url", "mxc://example.org/abc"),
        ("m.tz", "Europe/Oslo"),
    ):
        assert (await alice.put(f"{me}/{field}", {field: value})).ok() == {}
        assert (await server.anonymous.get(f"{me}/{field}")).ok() == {field: value}
    assert (
        await alice.put(f"{me}/org.example.job", {"org.example.job": {"deep": [1, {"x": None}]}})
    ).ok() == {}
    whole = (await bob.get(me)).ok()
    assert whole["displayname"] == "Ålice 🐝" and whole["org.example.job"] == {"deep": [1, {"x": None}]}
    rows: list[Any] = [
        ("PUT", "profile/@bob:example.org/displayname", {"displayname": "x"}, 403, "M_FORBIDDEN"),
        ("PUT", "profile/@alice:elsewhere.org/displayname", {"displayname": "x"}, 403, "M_FORBIDDEN"),
        ("DELETE", "profile/@bob:example.org/displayname", None, 403, "M_FORBIDDEN"),
        ("PUT", f"{me}/displayname", {}, 400, "M_MISSING_PARAM"),
        ("PUT", f"{me}/displayname", {"avatar_url": "x"}, 400, "M_MISSING_PARAM"),
        ("PUT", f"{me}/displayname", b"nonsense", 400, "M_NOT_JSON"),
        ("PUT", f"{me}/org.example.big", {"org.example.big": "x" * 70_000}, 400, "M_PROFILE_TOO_LARGE"),
        ("PUT", f"{me}/{'k' * 256}", {"k" * 256: "x"}, 400, "M_KEY_TOO_LARGE"),
        ("GET", "profile/@nobody:example.org", None, 404, "M_NOT_FOUND"),
        ("GET", "profile/@nobody:example.org/displayname", None, 404, "M_NOT_FOUND"),
        ("GET", f"{me}/org.example.none", None, 404, "M_NOT_FOUND"),
        ("GET", "profile/alice", None, 400, "M_INVALID_PARAM"),
    ]
    for value in (5, {}, [], True):
        rows.append(("PUT", f"{me}/displayname", {"displayname": value}, 400, "M_INVALID_PARAM"))
        rows.append(("PUT", f"{me}/avatar_url", {"avatar_url": value}, 400, "M_INVALID_PARAM"))
    await check(alice, rows)
    assert (await bob.get(me)).ok() == whole
    for _ in range(2):
        assert (await alice.delete(f"{me}/m.tz")).ok() == {}
    (await bob.get(f"{me}/m.tz")).error(404, "M_NOT_FOUND")


async def test_account_data(server: Server, alice: Client, bob: Client) -> None:
    """Written by one device, read and synced by another; other users' are closed; server-managed types refused."""
    phone = await server.login("alice")
    await phone.sync()
    room_id = await alice.create_room()
    room = f"{OWN}/rooms/{quote(room_id)}"
    for prefix in (OWN, room):
        assert (await alice.put(f"{prefix}/account_data/org.example.x", {"float": 1.5, "n": None})).ok() == {}
        assert (await phone.get(f"{prefix}/account_data/org.example.x")).ok() == {"float": 1.5, "n": None}
    answer = await phone.sync()
    event = {"type": "org.example.x", "content": {"float": 1.5, "n": None}}
    assert event in answer["account_data"]["events"]
    assert event in answer["rooms"]["join"][room_id]["account_data"]["events"]
    await check(
        alice,
        [
            ("GET", f"{OWN}/account_data/org.example.none", None, 404, "M_NOT_FOUND"),
            ("GET", f"{room}/account_data/org.example.none", None, 404, "M_NOT_FOUND"),
            ("GET", f"{HERS}/account_data/org.example.x", None, 403, "M_FORBIDDEN"),
            ("PUT", f"{HERS}/account_data/org.example.x", {}, 403, "M_FORBIDDEN"),
            ("PUT", f"{HERS}/rooms/{quote(room_id)}/account_data/x", {}, 403, "M_FORBIDDEN"),
            ("PUT", f"{OWN}/account_data/m.push_rules", {"global": {}}, 405, "M_BAD_JSON"),
            ("PUT", f"{OWN}/account_data/m.fully_read", {}, 405, "M_BAD_JSON"),
            ("PUT", f"{room}/account_data/m.fully_read", {"event_id": "$x"}, 405, "M_BAD_JSON"),
            ("PUT", f"{OWN}/account_data/x", b"[]", 400, "M_BAD_JSON"),
            ("PUT", f"{OWN}/account_data/x", b"{]", 400, "M_NOT_JSON"),
            ("PUT", f"{OWN}/rooms/nonsense/account_data/x", {}, 400, "M_INVALID_PARAM"),
        ],
    )
    assert (await server.anonymous.get(f"{OWN}/account_data/x")).status == 401


async def test_tags(server: Server, alice: Client, bob: Client) -> None:
    """Added, listed, synced (initially and as news) and removed, twice; other users' are closed."""
    phone = await server.login("alice")
    room_id = await alice.create_room()
    tags = f"{OWN}/rooms/{quote(room_id)}/tags"
    assert (await alice.get(tags)).ok() == {"tags": {}}
    assert (await alice.put(f"{tags}/u.one", {"order": 0.25})).ok() == {}
    assert (await alice.put(f"{tags}/m.favourite", {})).ok() == {}
    event = {"type": "m.tag", "content": {"tags": {"u.one": {"order": 0.25}, "m.favourite": {}}}}
    assert event in (await phone.sync())["rooms"]["join"][room_id]["account_data"]["events"]
    for _ in range(2):
        assert (await alice.delete(f"{tags}/u.one")).ok() == {}
    event = {"type": "m.tag", "content": {"tags": {"m.favourite": {}}}}
    assert event in (await phone.sync())["rooms"]["join"][room_id]["account_data"]["events"]
    await check(
        bob,
        [
            ("GET", tags, None, 403, "M_FORBIDDEN"),
            ("PUT", f"{tags}/u.two", {}, 403, "M_FORBIDDEN"),
            ("DELETE", f"{tags}/m.favourite", None, 403, "M_FORBIDDEN"),
        ],
    )
    assert (await alice.get(tags)).ok() == {"tags": {"m.favourite": {}}}


async def test_push_rules_of_every_kind(server: Server, alice: Client) -> None:
    """Each kind can be added, is first of its kind, read in each shape, ordered, disabled, changed and deleted."""
    room_id = await alice.create_room()
    condition = {"kind": "event_match", "key": "content.body", "pattern": "cake"}
    kinds: dict[str, tuple[str, dict[str, Any]]] = {
        "override": ("o.rule", {"conditions": [condition]}),
        "underride": ("u.rule", {"conditions": [condition]}),
        "content": ("c.rule", {"pattern": "c*ke"}),
        "room": (room_id, {}),
        "sender": ("@bob:example.org", {}),
    }
    await alice.sync()
    for kind, (rule_id, extra) in kinds.items():
        rule = f"{RULES}/{kind}/{quote(rule_id, safe='')}"
        for actions in (["dont_notify"], ["notify", {"set_tweak": "sound", "value": "ping"}], []):
            assert (await alice.put(rule, {"actions": actions, **extra})).ok() == {}, kind
            got = (await alice.get(rule)).ok()
            assert got == {"rule_id": rule_id, "default": False, "enabled": True, "actions": actions, **extra}
        assert (await alice.get(f"{rule}/enabled")).ok() == {"enabled": True}
        assert (await alice.put(f"{rule}/enabled", {"enabled": False})).ok() == {}
        assert (await alice.put(f"{rule}/actions", {"actions": ["notify"]})).ok() == {}
        assert (await alice.get(f"{rule}/actions")).ok() == {"actions": ["notify"]}
        news = (await alice.sync())["account_data"]["events"]
        rules = next(event for event in news if event["type"] == "m.push_rules")["content"]["global"][kind]
        wanted = {"rule_id": rule_id, "default": False, "enabled": False, "actions": ["notify"], **extra}
        own = [rule for rule in rules if not rule["default"]]
        assert own == [wanted]
        assert (await alice.delete(rule)).ok() == {}
        (await alice.delete(rule)).error(404, "M_NOT_FOUND")
        (await alice.get(rule)).error(404, "M_NOT_FOUND")
    whole = (await alice.get("pushrules/")).ok()
    assert set(whole["global"]) == {"override", "content", "room", "sender", "underride"}
    assert (await alice.get(f"{RULES}/")).ok() == whole["global"]


async def test_the_order_of_push_rules(alice: Client) -> None:
    """A new rule comes first, or before or after another one; an unknown neighbour and a server's one are refused."""
    rule = {"pattern": "x", "actions": []}

    async def order() -> list[str]:
        rules = (await alice.get(f"{RULES}/")).ok()["content"]
        return [found["rule_id"] for found in rules if not found["default"]]

    for name, query, expected in (
        ("a", "", ["a"]),
        ("b", "", ["b", "a"]),
        ("c", "?after=b", ["b", "c", "a"]),
        ("d", "?before=a", ["b", "c", "d", "a"]),
        ("b", "", ["b", "c", "d", "a"]),
        ("b", "?after=a", ["c", "d", "a", "b"]),
    ):
        (await alice.put(f"{RULES}/content/{name}{query}", rule)).ok()
        assert await order() == expected, (name, query)
    for query in ("?before=unknown", "?after=unknown"):
        assert (await alice.put(f"{RULES}/content/e{query}", rule)).status in (400, 404)
    assert await order() == ["c", "d", "a", "b"]


async def test_push_rules_that_are_refused(alice: Client) -> None:
    """Default rules can be switched and given actions, not deleted; what is unknown is 404; what is wrong 400."""
    default = f"{RULES}/override/.m.rule.master"
    assert (await alice.put(f"{default}/enabled", {"enabled": True})).ok() == {}
    assert (await alice.get(f"{default}/enabled")).ok() == {"enabled": True}
    assert (await alice.put(f"{RULES}/underride/.m.rule.message/actions", {"actions": ["notify"]})).ok() == {}
    condition = {"kind": "event_match", "key": "type", "pattern": "x"}
    good = {"actions": ["notify"], "conditions": [condition]}
    await check(
        alice,
        [
            ("GET", f"{RULES}/override/unknown", None, 404, "M_NOT_FOUND"),
            ("GET", f"{RULES}/override/unknown/enabled", None, 404, "M_NOT_FOUND"),
            ("GET", f"{RULES}/override/unknown/actions", None, 404, "M_NOT_FOUND"),
            ("PUT", f"{RULES}/override/unknown/enabled", {"enabled": True}, 404, "M_NOT_FOUND"),
            ("PUT", f"{RULES}/override/unknown/actions", {"actions": []}, 404, "M_NOT_FOUND"),
            ("PUT", f"{RULES}/override/.m.unknown/actions", {"actions": []}, 404, "M_NOT_FOUND"),
            ("PUT", f"{RULES}/override/.m.unknown/enabled", {"enabled": True}, 404, "M_NOT_FOUND"),
            ("DELETE", f"{RULES}/override/.m.rule.master", None, 400, "M_INVALID_PARAM"),
            ("PUT", f"{RULES}/override/.mine", good, 400, "M_INVALID_PARAM"),
            (
                "PUT",
                f"{RULES}/override/x",
                {"actions": ["notify"], "conditions": [{}]},
                400,
                "M_INVALID_PARAM",
            ),
            ("PUT", f"{RULES}/override/x", {"conditions": [condition]}, 400, "M_MISSING_PARAM"),
            (
                "PUT",
                f"{RULES}/override/x",
                {"actions": [5], "conditions": [condition]},
                400,
                "M_INVALID_PARAM",
            ),
            ("PUT", f"{RULES}/content/x", {"actions": []}, 400, "M_MISSING_PARAM"),
            ("PUT", f"{RULES}/content/x", {"actions": [], "pattern": 5}, 400, "M_INVALID_PARAM"),
            ("PUT", f"{RULES}/room/x/enabled", {"enabled": "yes"}, 400, "M_BAD_JSON"),
            ("PUT", f"{RULES}/room/x/actions", {"actions": "notify"}, 400, "M_BAD_JSON"),
            ("PUT", f"{RULES}/room/x/bogus", {}, 404, "M_UNRECOGNIZED"),
            ("PUT", "pushrules/bogus/room/x", {}, 404, "M_UNRECOGNIZED"),
        ],
    )
    for kind in ("bogus", "global"):
        assert (await alice.put(f"{RULES}/{kind}/x", good)).status in (400, 404)
        assert (await alice.get(f"{RULES}/{kind}/x")).status in (400, 404)


async def test_filters_and_openid(server: Server, alice: Client, bob: Client) -> None:
    """A filter comes back as it was sent, for its user alone; an OpenID token names the user, to another server too."""
    definition = {
        "room": {"timeline": {"limit": 10, "types": ["m.*"]}},
        "event_fields": ["type", "content.body"],
    }
    filter_id = (await alice.post(f"{OWN}/filter", definition)).ok()["filter_id"]
    assert isinstance(filter_id, str) and not filter_id.startswith("{")
    assert (await alice.get(f"{OWN}/filter/{filter_id}")).ok() == definition
    rows: list[Any] = [
        ("GET", f"{OWN}/filter/987654", None, 404, "M_NOT_FOUND"),
        ("GET", f"{OWN}/filter/nonsense", None, 404, "M_NOT_FOUND"),
        ("GET", f"{HERS}/filter/{filter_id}", None, 403, "M_FORBIDDEN"),
        ("POST", f"{HERS}/filter", {}, 403, "M_FORBIDDEN"),
        ("POST", f"{HERS}/openid/request_token", {}, 403, "M_FORBIDDEN"),
    ]
    for wrong in (
        {"room": {"timeline": {"limit": "many"}}},
        {"room": {"rooms": "!x:y"}},
        {"room": {"timeline": {"rooms": [5]}}},
        {"presence": {"senders": ["alice"]}},
        {"room": {"timeline": {"not_rooms": ["nonsense"]}}},
        {"event_format": "bogus"},
        {"room": []},
    ):
        assert (await alice.post(f"{OWN}/filter", wrong)).status == 400, wrong
    await check(alice, rows)
    token = (await alice.post(f"{OWN}/openid/request_token")).ok()
    assert token["token_type"] == "Bearer" and token["matrix_server_name"] == "example.org"
    userinfo = "/_matrix/federation/v1/openid/userinfo"
    shown = await server.anonymous.get(f"{userinfo}?access_token={token['access_token']}")
    assert shown.ok() == {"sub": alice.user_id}
    assert found(await server.anonymous.get(f"{userinfo}?access_token=nope")) == (401, "M_UNKNOWN_TOKEN")
    assert (await Client(server, token["access_token"]).get("account/whoami")).status == 401


async def test_what_the_server_can(server: Server, alice: Client) -> None:
    """Versions, capabilities and well-known have the shape that clients parse."""
    versions = (await server.anonymous.get("/_matrix/client/versions")).ok()
    assert {"v1.1", "v1.11", "v1.19"} <= set(versions["versions"])
    assert all(isinstance(on, bool) for on in versions["unstable_features"].values())
    (await server.anonymous.get("capabilities")).error(401, "M_MISSING_TOKEN")
    capabilities = (await alice.get("capabilities")).ok()["capabilities"]
    rooms = capabilities["m.room_versions"]
    assert rooms["available"][rooms["default"]] == "stable"
    assert set(rooms["available"]) == {str(number) for number in range(1, 13)}
    assert capabilities["m.change_password"] == {"enabled": True}
    client = await server.anonymous.get("/.well-known/matrix/client")
    assert client.ok()["m.homeserver"]["base_url"].startswith("http")
    assert client.headers["access-control-allow-origin"] == "*"
    (await server.anonymous.get("/.well-known/matrix/support")).error(404, "M_NOT_FOUND")
