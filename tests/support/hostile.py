"""Hostile requests, drawn by hypothesis from the types that endpoints declare."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, quote_from_bytes

from hypothesis import strategies as st
from msgspec import inspect

from chamberlain.http.endpoint import Endpoint, In, holes_of
from tests.support.surface import fields_of, value_for

NUMBERS = (
    0,
    1,
    -1,
    2,
    10,
    50,
    100,
    2**31,
    -(2**31),
    2**53 - 1,
    1 - 2**53,
    2**53,
    -(2**53),
    2**63 - 1,
    -(2**63) + 1,
)
HUGE = (2**63, -(2**63), 2**64, 10**30, float("nan"), float("inf"), 1e300)
FRACTIONS = (0.5, -0.0, 1.0, 1e15, 5e-324)
SURROGATES = ("\ud800", "\udfff\ud800", "a\ud83d")
WORDS = (
    "",
    "\x00",
    "a\x00b",
    "\ufdd0",
    "\ufdd0n",
    "\uffff",
    "\u202e",
    "\U0001f980",
    "e\u0301",
    "İ",
    "ß",
    " ",
    "\n",
    "\x7f",
    "%",
    "_",
    "'",
    '"',
    "\\",
    "a" * 256,
    "é" * 200,
    "*",
    "**",
    "?[!",
    "../..",
    "m.",
    "m.room.member",
    "m.room.create",
    "m.room.power_levels",
    "m.room.join_rules",
    "m.room.canonical_alias",
    "m.room.history_visibility",
    "m.room.message",
    "m.room.redaction",
    "m.room.encrypted",
    "m.room.tombstone",
    "m.fully_read",
    "m.push_rules",
    "m.direct",
    "m.tag",
    "m.read",
    "m.login.password",
    "m.login.dummy",
    "m.id.user",
    "m.thread",
    "m.replace",
    "m.annotation",
    "m.space",
    "m.olm.v1.curve25519-aes-sha2",
    "join",
    "invite",
    "leave",
    "ban",
    "knock",
    "public",
    "restricted",
    "private_chat",
    "public_chat",
    "override",
    "underride",
    "content",
    "sender",
    "room",
    ".m.rule.master",
    "notify",
    "1",
    "11",
    "12",
    "0",
    "-1",
    "9" * 30,
    "true",
    "main",
    "displayname",
    "avatar_url",
    "m.tz",
    "us.cloke.msc4175.tz",
    "signed_curve25519",
    "s1_2_3",
    "t1-2",
    "@:example.org",
    "@a:elsewhere.example",
    "!a:elsewhere.example",
    "$a:elsewhere.example",
    "#a:example.org",
    "#" + "a" * 300 + ":example.org",
    "mxc://example.org/abc",
    "example.org",
    "http://127.0.0.1:1/",
)
KEYS = (
    *("", "a", "\x00", "m.x", "a.b\\.c", "__proto__"),
    *("membership", "displayname", "avatar_url", "reason", "join_authorised_via_users_server"),
    *(
        "users",
        "events",
        "users_default",
        "events_default",
        "state_default",
        "ban",
        "invite",
        "notifications",
    ),
    *("join_rule", "allow", "type", "room_id", "history_visibility", "guest_access", "alias", "alt_aliases"),
    *("creator", "room_version", "additional_creators", "predecessor", "m.federate", "federate"),
    *("msgtype", "body", "url", "info", "m.relates_to", "rel_type", "event_id", "key", "m.in_reply_to"),
    *("m.mentions", "user_ids", "room", "m.new_content", "redacts", "algorithm", "third_party_invite"),
    *("user", "user_id", "password", "session", "identifier", "token", "medium", "address", "threepid_creds"),
    *("auth", "signed", "mxid", "signatures", "keys", "device_id", "algorithms", "usage", "one_time_keys"),
    *("limit", "types", "not_types", "senders", "rooms", "timeline", "state", "lazy_load_members", "filter"),
    *(
        "conditions",
        "actions",
        "pattern",
        "kind",
        "is",
        "set_tweak",
        "value",
        "rule_id",
        "default",
        "enabled",
    ),
    *("order", "tags", "name", "topic", "sha256", "hashes", "content", "state_key", "sender", "unsigned"),
    *("first_message_index", "forwarded_count", "is_verified", "session_data", "sessions", "auth_data"),
)


CONDITIONS = (
    "event_match",
    "event_property_is",
    "event_property_contains",
    "contains_display_name",
    "room_member_count",
    "sender_notification_permission",
    "x",
)


CHOICES: dict[str, tuple[str, ...]] = {
    "event_type": (
        "m.room.message",
        "m.room.member",
        "m.room.power_levels",
        "m.room.join_rules",
        "m.room.canonical_alias",
        "m.room.history_visibility",
        "m.room.guest_access",
        "m.room.name",
        "m.room.topic",
        "m.room.avatar",
        "m.room.encryption",
        "m.room.tombstone",
        "m.room.create",
        "m.room.pinned_events",
        "m.room.server_acl",
        "m.room.third_party_invite",
        "m.room.redaction",
        "m.space.child",
        "m.reaction",
    ),
    "type": (
        "m.direct",
        "m.push_rules",
        "m.fully_read",
        "m.ignored_user_list",
        "m.tag",
        "m.marked_unread",
        "x",
    ),
    "kind": ("override", "underride", "content", "sender", "room"),
    "rule_id": (".m.rule.master", ".m.rule.contains_display_name", "rule"),
    "receipt_type": ("m.read", "m.read.private", "m.fully_read"),
    "rel_type": ("m.thread", "m.replace", "m.annotation", "m.reference"),
    "key_name": ("displayname", "avatar_url", "m.tz", "x"),
    "tag": ("m.favourite", "m.lowpriority", "u.x"),
    "state_key": ("", "@nobody:example.org"),
}
"""Values of holes that make a difference."""


class Hostile(NamedTuple):
    """One request as it goes over the wire."""

    target: str
    body: bytes | None


class Draws:
    """Strategies that know some good names: a hostile request needs them to get past the first check.

    A tame request has the types that the endpoint declares, with hostile values in them; a wild one has anything
    anywhere.
    """

    def __init__(self, names: Mapping[str, str], *, wild: bool) -> None:
        self.names = names
        self.wild = wild
        good = sorted(set(names.values()))
        long = st.just("a").map(lambda letter: letter * 70_000)
        texts = [st.sampled_from(good), st.sampled_from(WORDS), st.text(max_size=8), long]
        numbers: list[st.SearchStrategy[Any]] = [st.sampled_from(NUMBERS), st.integers(-100, 100)]
        if wild:
            texts.append(st.sampled_from(SURROGATES))
            numbers += [st.sampled_from(HUGE), st.sampled_from(FRACTIONS)]
        self.texts = st.one_of(texts)
        self.numbers = st.one_of(numbers)
        self.keys = st.one_of(st.sampled_from(KEYS), st.sampled_from(good), st.sampled_from(WORDS[:30]))
        leaves = st.one_of(st.none(), st.booleans(), self.numbers, st.sampled_from((0.5, 1e15)), self.texts)
        self.values: st.SearchStrategy[Any] = st.recursive(
            leaves,
            lambda inner: st.one_of(
                st.lists(inner, max_size=3), st.dictionaries(self.keys, inner, max_size=4), _nested(inner)
            ),
            max_leaves=6,
        )
        self.objects = st.one_of(self._plausible(), st.dictionaries(self.keys, self.values, max_size=4))

    def _plausible(self) -> st.SearchStrategy[Any]:
        """Objects with keys that the server looks at, most with a value of the type that it looks for."""
        text, number, names = self.texts, self.numbers, self.names
        users = st.sampled_from([value for value in names.values() if value.startswith("@")])
        events = st.sampled_from([value for value in names.values() if value.startswith("$")])
        levels = st.dictionaries(st.one_of(users, text), number, max_size=3)
        relation = st.fixed_dictionaries(
            {"event_id": events},
            optional={
                "rel_type": st.sampled_from(("m.thread", "m.replace", "m.annotation", "m.reference", "x")),
                "key": text,
                "m.in_reply_to": st.fixed_dictionaries({"event_id": st.one_of(events, self.values)}),
                "is_falling_back": st.booleans(),
            },
        )
        condition = st.fixed_dictionaries(
            {"kind": st.sampled_from(CONDITIONS)},
            optional={
                "key": text,
                "pattern": text,
                "is": text,
                "value": self.values,
                "room_version_feature": text,
            },
        )
        filters = st.fixed_dictionaries(
            {},
            optional={
                "limit": number,
                "types": st.lists(text, max_size=2),
                "not_senders": st.lists(text, max_size=2),
                "rooms": st.lists(text, max_size=2),
                "lazy_load_members": st.booleans(),
                "related_by_rel_types": st.lists(text, max_size=2),
                "contains_url": st.booleans(),
            },
        )
        right: dict[str, st.SearchStrategy[Any]] = {
            "membership": st.sampled_from(("join", "invite", "leave", "ban", "knock")),
            "join_rule": st.sampled_from(("public", "invite", "knock", "restricted", "knock_restricted")),
            "history_visibility": st.sampled_from(("world_readable", "shared", "invited", "joined")),
            "allow": st.lists(
                st.fixed_dictionaries({"type": st.just("m.room_membership"), "room_id": text}), max_size=2
            ),
            "alias": st.sampled_from(("#fuzz:example.org", "#none:example.org")),
            "alt_aliases": st.lists(text, max_size=2),
            "users": levels,
            "events": levels,
            "ban": number,
            "users_default": number,
            "state_default": number,
            "msgtype": st.sampled_from(("m.text", "m.image")),
            "body": text,
            "displayname": text,
            "avatar_url": text,
            "name": text,
            "topic": text,
            "url": text,
            "m.relates_to": relation,
            "m.new_content": st.fixed_dictionaries({"body": text}),
            "m.mentions": st.fixed_dictionaries(
                {}, optional={"user_ids": st.lists(text, max_size=2), "room": number}
            ),
            "redacts": events,
            "replacement_room": text,
            "conditions": st.lists(condition, max_size=2),
            "actions": st.lists(
                st.one_of(text, st.fixed_dictionaries({"set_tweak": text, "value": text})), max_size=2
            ),
            "pattern": text,
            "room": filters,
            "presence": filters,
            "event_fields": st.lists(text, max_size=2),
            "event_format": st.sampled_from(("client", "federation")),
            "user_id": users,
            "device_id": st.just(names.get("device_id", "x")),
            "algorithms": st.lists(text, max_size=2),
            "keys": st.dictionaries(text, text, max_size=2),
            "usage": st.lists(st.sampled_from(("master", "self_signing", "user_signing")), max_size=2),
            "signatures": st.dictionaries(users, st.dictionaries(text, text, max_size=2), max_size=2),
            "type": text,
            "order": number,
            "typing": st.booleans(),
        }
        return st.lists(st.sampled_from(sorted(right)), max_size=6, unique=True).flatmap(
            lambda chosen: st.fixed_dictionaries(
                {name: st.one_of(right[name], right[name], self.values) for name in chosen}
            )
        )

    def of(self, kind: inspect.Type) -> st.SearchStrategy[Any]:
        """What a type takes; from wild ones also what it does not."""
        fitting = self._fitting(kind)
        return st.one_of(fitting, fitting, self.values) if self.wild else fitting

    def _fitting(self, kind: inspect.Type) -> st.SearchStrategy[Any]:
        match kind:
            case inspect.Metadata():
                return self._fitting(kind.type)
            case inspect.NoneType():
                return st.none()
            case inspect.BoolType():
                return st.booleans()
            case inspect.IntType():
                return st.one_of(st.integers(kind.ge or -1, 30), self.numbers)
            case inspect.LiteralType():
                return st.sampled_from(kind.values)
            case inspect.CollectionType():
                return st.lists(self.of(kind.item_type), max_size=3)
            case inspect.DictType() if isinstance(kind.value_type, (inspect.AnyType, inspect.RawType)):
                return self.objects
            case inspect.DictType():
                return st.dictionaries(self.keys, self.of(kind.value_type), max_size=3)
            case inspect.StructType():
                of = {field.encode_name: self.named(field.encode_name, field.type) for field in kind.fields}
                required = {field.encode_name for field in kind.fields if field.required}
                return st.fixed_dictionaries(
                    {name: strategy for name, strategy in of.items() if name in required},
                    optional={name: strategy for name, strategy in of.items() if name not in required},
                )
            case inspect.UnionType():
                return st.one_of([self.of(part) for part in kind.types])
            case inspect.StrType():
                return self.texts
        return st.one_of(self.objects, self.values)

    def named(self, name: str, kind: inspect.Type) -> st.SearchStrategy[Any]:
        """What a type takes, often the good value for this name."""
        if name in ("auth", "identifier", "filter") and isinstance(
            kind, (inspect.AnyType, inspect.UnionType)
        ):
            return st.one_of(getattr(self, f"_{name}")(), self.of(kind))
        if name not in self.names or not isinstance(kind, (inspect.StrType, inspect.UnionType)):
            return self.of(kind)
        good = st.just(self.names[name])
        return st.one_of(good, good, good, self.of(kind))

    def _identifier(self) -> st.SearchStrategy[Any]:
        user = st.one_of(st.just(self.names["user_id"]), self.values)
        return st.fixed_dictionaries({"type": st.one_of(st.just("m.id.user"), self.texts), "user": user})

    def _auth(self) -> st.SearchStrategy[Any]:
        return st.fixed_dictionaries(
            {
                "type": st.sampled_from(("m.login.password", "m.login.dummy", "m.login.token", "x")),
                "identifier": st.one_of(self._identifier(), self.values),
                "password": st.one_of(st.just(self.names["password"]), self.values),
            },
            optional={"session": self.values, "user": self.texts},
        )

    def _filter(self) -> st.SearchStrategy[Any]:
        return self.objects.map(json.dumps)

    def requests(self, endpoint: Endpoint) -> st.SearchStrategy[Hostile]:
        """Requests to an endpoint."""
        return st.builds(Hostile, self._targets(endpoint), self._bodies(endpoint))

    def _good(self, hole: str) -> tuple[str, ...]:
        """Values for a hole that lead somewhere."""
        value = value_for(hole, self.names)
        users = (self.names["user_id"], self.names["target"]) if hole == "state_key" else ()
        return (*CHOICES[hole], *users) if hole in CHOICES else (value,)

    def _targets(self, endpoint: Endpoint) -> st.SearchStrategy[str]:
        holes = {}
        for hole in holes_of(endpoint.path):
            good = st.sampled_from(self._good(hole))
            holes[hole] = st.one_of(good, good, good, good, self.texts)
        queries: dict[str, st.SearchStrategy[Any]] = {}
        required: dict[str, st.SearchStrategy[Any]] = {}
        for field in fields_of(endpoint, In.QUERY):
            drawn = self.named(field.wire_name, inspect.type_info(field.kind))
            if "timeout" in field.wire_name:
                drawn = st.sampled_from(["0", "-1", "x"])
            (required if field.is_required else queries)[field.wire_name] = drawn

        def build(path: dict[str, str], query: dict[str, Any]) -> str:
            target = endpoint.path
            for hole, value in path.items():
                target = target.replace(f"{{{hole}}}", quoted(value))
            pairs = [
                f"{name}={quoted(_query_text(item))}"
                for name, value in query.items()
                for item in (value if isinstance(value, list) else [value])
                if item is not None
            ]
            return f"{target}?{'&'.join(pairs)}" if pairs else target

        return st.builds(
            build, st.fixed_dictionaries(holes), st.fixed_dictionaries(required, optional=queries)
        )

    def _bodies(self, endpoint: Endpoint) -> st.SearchStrategy[bytes | None]:
        whole = fields_of(endpoint, In.BODY)
        keys = fields_of(endpoint, In.KEY)
        if fields_of(endpoint, In.UPLOAD):
            return st.one_of(st.binary(max_size=100), st.none())
        if whole:
            bodies = self.of(inspect.type_info(whole[0].kind))
        elif keys:
            kinds = {f.wire_name: self.named(f.wire_name, inspect.type_info(f.kind)) for f in keys}
            required = {field.wire_name: kinds.pop(field.wire_name) for field in keys if field.is_required}
            bodies = st.fixed_dictionaries(required, optional=kinds)
        else:
            return st.none()
        encoded = bodies.map(to_json)
        return st.one_of(encoded, encoded.flatmap(_spoiled)) if self.wild else encoded


def hostile_requests(endpoint: Endpoint, names: Mapping[str, str]) -> st.SearchStrategy[Hostile]:
    """Requests to an endpoint, three of four of them tame."""
    tame = Draws(names, wild=False).requests(endpoint)
    return st.one_of(tame, tame, tame, Draws(names, wild=True).requests(endpoint))


def _nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    def wrap(value: Any, depth: int) -> Any:
        for _ in range(depth):
            value = {"a": value}
        return value

    return st.builds(wrap, inner, st.sampled_from((90, 99, 120)))


def _spoiled(body: bytes) -> st.SearchStrategy[bytes]:
    """The body with some bytes thrown in."""
    bad = st.sampled_from((b"\xff", b"\x00", b"\xed\xa0\x80", b"\\ud800", b"{", b"]", b'"', b"NaN", b"1e999"))
    return st.builds(lambda at, what: body[:at] + what + body[at:], st.integers(0, len(body)), bad)


def to_json(value: Any) -> bytes:
    """JSON as no careful library writes it: with lone surrogates escaped, and with NaN."""
    return json.dumps(value).encode()


def quoted(text: str) -> str:
    """Percent-encoded; lone surrogates as the bytes that are not UTF-8."""
    try:
        return quote(text, safe="")
    except UnicodeEncodeError:
        return quote_from_bytes(text.encode("utf-8", "surrogatepass"), safe="")


def _query_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
