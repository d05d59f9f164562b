"""A room made of events alone: builds them, judges them, keeps its state; no server involved."""

from chamberlain.matrix.auth_rules import ALLOW, Verdict, check
from chamberlain.matrix.auth_rules.selection import select_auth_events
from chamberlain.matrix.events import Draft, Event, build
from chamberlain.matrix.ids import server_of
from chamberlain.matrix.signing import SigningKey
from chamberlain.matrix.types import JsonObject, StateKey
from chamberlain.matrix.versions import get_room_version

ALICE = "@alice:a.example"
BOB = "@bob:b.example"
CAROL = "@carol:c.example"
KEY = SigningKey(bytes(range(32)), "test")


class Room:
    """A room with its create event and its creator; `send` what passes, ask the `verdict` of anything."""

    def __init__(
        self, version: str = "11", creator: str = ALICE, create_content: JsonObject | None = None
    ) -> None:
        self.version = get_room_version(version)
        self.room_id = f"!room:{server_of(creator)}"
        self.state: dict[StateKey, Event] = {}
        self.last: Event | None = None
        content: JsonObject = {"room_version": version, **(create_content or {})}
        if self.version.creator_in_content:
            content.setdefault("creator", creator)
        self.create = self.send("m.room.create", creator, content, "")
        self.room_id = self.create.room_id
        self.send("m.room.member", creator, {"membership": "join"}, creator)

    def build(
        self,
        type: str,
        sender: str,
        content: JsonObject,
        state_key: str | None = None,
        *,
        redacts: str | None = None,
    ) -> Event:
        """The event that this would be if it came next."""
        state = {key: event.event_id for key, event in self.state.items()}
        last = self.last
        return build(
            Draft(
                room_id=self.room_id,
                type=type,
                sender=sender,
                content=content,
                state_key=state_key,
                redacts=redacts,
                origin_server_ts=1_000 if last is None else last.origin_server_ts + 1,
            ),
            version=self.version,
            prev_events=[] if last is None else [last.event_id],
            auth_events=select_auth_events(self.version, type, sender, state_key, content, state),
            depth=1 if last is None else last.depth + 1,
            server_name=server_of(sender),
            signing_key=KEY,
        )

    def verdict(
        self,
        type: str,
        sender: str,
        content: JsonObject,
        state_key: str | None = None,
        *,
        redacts: str | None = None,
    ) -> Verdict:
        """What the rules say of this event; the room stays as it is."""
        return check(self.build(type, sender, content, state_key, redacts=redacts), self.state)

    def send(self, type: str, sender: str, content: JsonObject, state_key: str | None = None) -> Event:
        """The event, which must pass and now is part of the room."""
        event = self.build(type, sender, content, state_key)
        verdict = check(event, self.state)
        assert verdict is ALLOW, verdict
        return self.put(event)

    def put(self, event: Event) -> Event:
        """The event, now part of the room whether or not the rules let it."""
        self.last = event
        if event.key is not None:
            self.state[event.key] = event
        return event

    def member(self, target: str, membership: str, sender: str | None = None, **content: object) -> Verdict:
        """What the rules say of this change of membership."""
        whole: JsonObject = {"membership": membership, **content}
        return self.verdict("m.room.member", sender or target, whole, target)

    def set_member(self, target: str, membership: str, sender: str | None = None) -> Event:
        """The room now has this membership, whether or not the rules let it."""
        return self.put(self.build("m.room.member", sender or target, {"membership": membership}, target))

    def set_join_rule(self, rule: str) -> Event:
        """The room now has this join rule."""
        return self.put(self.build("m.room.join_rules", self.create.sender, {"join_rule": rule}, ""))

    def set_power_levels(self, **content: object) -> Event:
        """The room now has these power levels, whether or not the rules let it."""
        return self.put(self.build("m.room.power_levels", self.create.sender, dict(content), ""))
