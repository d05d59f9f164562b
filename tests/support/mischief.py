"""Requests that a good client would send, with something wrong in them: they get further than random ones."""

import copy
import random
from typing import Any, NamedTuple

ODD: tuple[Any, ...] = (
    None,
    True,
    0,
    5,
    -1,
    2**53 - 1,
    1 - 2**53,
    "",
    "\x00",
    "x",
    "\ufdd0n",
    "\U0001f980" * 20,
    "x" * 300,
    "100",
    "@",
    "@x:y",
    "!x:y",
    "$x",
    "#x:y",
    "join",
    "public",
    "mxc://a/b",
    [],
    {},
    [5],
    [None],
    ["x", "x"],
    [[]],
    [{}],
    {"a": 5},
    {"": {}},
    {"a": {"b": [{"c": None}]}},
)


class Names(NamedTuple):
    """What the requests speak of."""

    room: str
    event: str
    user: str
    device: str
    other: str
    alias: str


class Wanted(NamedTuple):
    """One request; the target is below `/_matrix/client/v3/` unless it starts with a slash."""

    method: str
    target: str
    body: Any


def state_events(names: Names) -> dict[tuple[str, str], dict[str, Any]]:
    """Good content of every kind of state, by type and key."""
    user, other = names.user, names.other
    return {
        ("m.room.name", ""): {"name": "a name"},
        ("m.room.topic", ""): {
            "topic": "a",
            "m.topic": {"m.text": [{"body": "a", "mimetype": "text/plain"}]},
        },
        ("m.room.avatar", ""): {
            "url": "mxc://example.org/a",
            "info": {"w": 5, "h": 5, "mimetype": "image/png"},
        },
        ("m.room.power_levels", ""): {
            "users": {user: 100, other: 50},
            "events": {"m.room.name": 50, "x": 1},
            "users_default": 0,
            "events_default": 0,
            "state_default": 0,
            "ban": 50,
            "kick": 50,
            "redact": 50,
            "invite": 0,
            "notifications": {"room": 20},
        },
        ("m.room.join_rules", ""): {
            "join_rule": "restricted",
            "allow": [{"type": "m.room_membership", "room_id": names.room}],
        },
        ("m.room.history_visibility", ""): {"history_visibility": "shared"},
        ("m.room.guest_access", ""): {"guest_access": "can_join"},
        ("m.room.canonical_alias", ""): {"alias": names.alias, "alt_aliases": [names.alias]},
        ("m.room.encryption", ""): {"algorithm": "m.megolm.v1.aes-sha2", "rotation_period_ms": 604_800_000},
        ("m.room.server_acl", ""): {"allow": ["*"], "deny": ["evil.example"], "allow_ip_literals": True},
        ("m.room.pinned_events", ""): {"pinned": [names.event]},
        ("m.room.tombstone", ""): {"body": "moved", "replacement_room": names.room},
        ("m.room.create", ""): {"room_version": "11", "predecessor": {"room_id": "!a:b", "event_id": "$a"}},
        ("m.room.third_party_invite", "token"): {
            "display_name": "a",
            "key_validity_url": "https://example.org",
            "public_key": "abc",
            "public_keys": [{"public_key": "abc", "key_validity_url": "https://example.org"}],
        },
        ("m.room.member", user): {"membership": "join", "displayname": "a", "avatar_url": "mxc://a/b"},
        ("m.room.member", other): {"membership": "invite", "is_direct": True, "reason": "because"},
        ("m.space.child", "!child:example.org"): {"via": ["example.org"], "order": "a", "suggested": True},
        ("m.space.parent", "!parent:example.org"): {"via": ["example.org"], "canonical": True},
        ("m.policy.rule.user", "a"): {"entity": "@a:*", "recommendation": "m.ban", "reason": "spam"},
        ("x.own", "\U0001f980"): {"a": {"b": ["c"]}},
    }


def messages(names: Names) -> dict[str, dict[str, Any]]:
    """Good content of messages, by type."""
    text = {"msgtype": "m.text", "body": "hello"}
    event = names.event
    return {
        "m.room.message": text
        | {
            "m.mentions": {"user_ids": [names.other], "room": True},
            "format": "org.matrix.custom.html",
            "formatted_body": "<b>hello</b>",
            "m.relates_to": {"m.in_reply_to": {"event_id": event}},
        },
        "m.room.message ": text
        | {
            "m.relates_to": {
                "rel_type": "m.thread",
                "event_id": event,
                "is_falling_back": True,
                "m.in_reply_to": {"event_id": event},
            }
        },
        "m.room.message  ": text
        | {
            "m.new_content": text | {"m.mentions": {}},
            "m.relates_to": {"rel_type": "m.replace", "event_id": event},
        },
        "m.reaction": {"m.relates_to": {"rel_type": "m.annotation", "event_id": event, "key": "+1"}},
        "m.room.encrypted": {
            "algorithm": "m.megolm.v1.aes-sha2",
            "ciphertext": "abc",
            "session_id": "abc",
            "m.relates_to": {"rel_type": "m.reference", "event_id": event},
        },
        "m.room.redaction": {"redacts": event, "reason": "because"},
        "m.sticker": {"body": "a", "url": "mxc://a/b", "info": {"w": 5}},
    }


def requests(names: Names, rnd: random.Random) -> list[Wanted]:
    """Good requests of many kinds, all of which keep something."""
    user, device, room = names.user, names.device, names.room
    txn = rnd.randrange(10**12)
    state = [
        Wanted("PUT", f"rooms/{room}/state/{k}/{s}", body) for (k, s), body in state_events(names).items()
    ]
    sends = [
        Wanted("PUT", f"rooms/{room}/send/{kind.strip()}/{txn}{len(kind)}", body)
        for kind, body in messages(names).items()
    ]
    rule = {
        "actions": ["notify", {"set_tweak": "sound", "value": "default"}, {"set_tweak": "highlight"}],
        "conditions": [
            {"kind": "event_match", "key": "content.body", "pattern": "he*"},
            {"kind": "room_member_count", "is": ">1"},
            {"kind": "event_property_is", "key": "type", "value": "m.room.message"},
            {"kind": "event_property_contains", "key": "content.m\\.mentions.user_ids", "value": user},
            {"kind": "contains_display_name"},
            {"kind": "sender_notification_permission", "key": "room"},
        ],
    }
    keys = {
        "user_id": user,
        "device_id": device,
        "algorithms": ["m.olm.v1.curve25519-aes-sha2"],
        "keys": {f"ed25519:{device}": "abc", f"curve25519:{device}": "abc"},
        "signatures": {user: {f"ed25519:{device}": "abc"}},
        "unsigned": {"device_display_name": "a"},
    }
    signed = {"key": "abc", "signatures": {user: {f"ed25519:{device}": "abc"}}}
    filters = {
        "event_fields": ["type", "content.body"],
        "event_format": "client",
        "presence": {"types": ["m.presence"], "not_senders": ["@a:b"], "limit": 5},
        "account_data": {"not_types": ["m.*"]},
        "room": {
            "rooms": [room],
            "include_leave": True,
            "timeline": {
                "limit": 5,
                "types": ["m.*"],
                "contains_url": False,
                "unread_thread_notifications": True,
            },
            "state": {"lazy_load_members": True, "include_redundant_members": True, "not_types": ["x"]},
            "ephemeral": {"types": ["m.receipt"]},
        },
    }
    session = {
        "first_message_index": 1,
        "forwarded_count": 0,
        "is_verified": True,
        "session_data": {"ephemeral": "a", "ciphertext": "b", "mac": "c"},
    }
    account = {
        "m.direct": {names.other: [room]},
        "m.ignored_user_list": {"ignored_users": {names.other: {}}},
        "m.push_rules": {"global": {}},
        "m.marked_unread": {"unread": True},
        "m.fully_read": {"event_id": names.event},
        "m.invite_permission_config": {"default_action": "block"},
        "x": {"a": [1]},
    }
    others = [
        Wanted("PUT", f"pushrules/global/override/r{txn % 5}", rule),
        Wanted("PUT", f"pushrules/global/content/c{txn % 5}", {"actions": ["notify"], "pattern": "hello*"}),
        Wanted("PUT", f"pushrules/global/room/{room}", {"actions": []}),
        Wanted("PUT", "pushrules/global/override/.m.rule.master/enabled", {"enabled": False}),
        Wanted("PUT", "pushrules/global/underride/.m.rule.message/actions", {"actions": ["notify"]}),
        Wanted("POST", "keys/upload", {"device_keys": keys}),
        Wanted("POST", "keys/upload", {"one_time_keys": {f"signed_curve25519:A{txn}": signed}}),
        Wanted(
            "POST", "keys/upload", {"fallback_keys": {"signed_curve25519:F": signed | {"fallback": True}}}
        ),
        Wanted("POST", "keys/query", {"device_keys": {user: [device]}, "timeout": 10}),
        Wanted("POST", "keys/claim", {"one_time_keys": {user: {device: "signed_curve25519"}}}),
        Wanted("POST", "keys/signatures/upload", {user: {device: keys}}),
        Wanted(
            "POST",
            "room_keys/version",
            {"algorithm": "m.a", "auth_data": {"public_key": "a", "signatures": {}}},
        ),
        Wanted("PUT", "room_keys/keys?version=1", {"rooms": {room: {"sessions": {"s": session}}}}),
        Wanted("PUT", f"room_keys/keys/{room}/s?version=1", session),
        Wanted("POST", f"user/{user}/filter", filters),
        Wanted("PUT", f"profile/{user}/displayname", {"displayname": "a name"}),
        Wanted("PUT", f"profile/{user}/avatar_url", {"avatar_url": "mxc://a/b"}),
        Wanted("PUT", f"profile/{user}/m.tz", {"m.tz": "Europe/London"}),
        Wanted("PUT", f"user/{user}/rooms/{room}/tags/u.a", {"order": 0.5}),
        Wanted("PUT", f"sendToDevice/x/{txn}", {"messages": {user: {device: {"a": 1}, "*": {"b": 2}}}}),
        Wanted("PUT", f"presence/{user}/status", {"presence": "online", "status_msg": "here"}),
        Wanted("PUT", f"rooms/{room}/typing/{user}", {"typing": True, "timeout": 1000}),
        Wanted("POST", f"rooms/{room}/receipt/m.read/{names.event}", {"thread_id": "main"}),
        Wanted("POST", f"rooms/{room}/read_markers", {"m.fully_read": names.event, "m.read": names.event}),
        Wanted("PUT", f"rooms/{room}/redact/{names.event}/{txn}", {"reason": "because"}),
        Wanted("PUT", f"directory/list/room/{room}", {"visibility": "public"}),
        Wanted("POST", f"rooms/{room}/report/{names.event}", {"reason": "spam", "score": -50}),
        Wanted("POST", f"rooms/{room}/invite", {"user_id": names.other, "reason": "because"}),
        Wanted("POST", f"rooms/{room}/ban", {"user_id": "@banned:example.org"}),
        Wanted("POST", "createRoom", room_options(names)),
        Wanted(
            "POST", "publicRooms", {"limit": 5, "filter": {"generic_search_term": "a", "room_types": [None]}}
        ),
        Wanted(
            "POST",
            "search",
            {"search_categories": {"room_events": {"search_term": "hello", "groupings": {}}}},
        ),
        Wanted("POST", "user_directory/search", {"search_term": "a", "limit": 5}),
        *(Wanted("PUT", f"user/{user}/account_data/{kind}", body) for kind, body in account.items()),
        *(
            Wanted("PUT", f"user/{user}/rooms/{room}/account_data/{kind}", body)
            for kind, body in account.items()
        ),
    ]
    return [*rnd.sample(state, 6), *rnd.sample(sends, 4), *rnd.sample(others, 10)]


def room_options(names: Names) -> dict[str, Any]:
    """Good options of createRoom, all at once."""
    return {
        "preset": "public_chat",
        "name": "a name",
        "topic": "a topic",
        "visibility": "private",
        "room_version": "11",
        "invite": [names.other],
        "is_direct": True,
        "creation_content": {"m.federate": True, "type": "m.space"},
        "initial_state": [
            {
                "type": "m.room.history_visibility",
                "state_key": "",
                "content": {"history_visibility": "joined"},
            },
            {"type": "x", "content": {}},
        ],
        "power_level_content_override": {"users": {names.user: 100}, "events": {"x": 50}},
    }


def spoil(body: Any, rnd: random.Random) -> Any:
    """The body with one to three things wrong in it."""
    body = copy.deepcopy(body)
    for _ in range(rnd.randint(1, 3)):
        places = list(_places(body))
        if not places:
            return body
        holder, key = rnd.choice(places)
        chance = rnd.random()
        if chance < 0.75:
            holder[key] = copy.deepcopy(rnd.choice(ODD))
        elif chance < 0.85:
            del holder[key]
        elif isinstance(holder, dict):
            holder[rnd.choice(("", "\x00", "x" * 300, "a.b", "@x:y"))] = holder.pop(key)
    return body


def _places(value: Any) -> Any:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(pairs):
        yield value, key
        yield from _places(inner)
