"""Creating rooms: from the options of a client to the first events (client-server API, Creation)."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Final, Literal

import msgspec

from chamberlain.accounts.identity_servers import Address
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import BadJson, Forbidden, InvalidParam, MatrixError
from chamberlain.matrix.event_types import MEMBER
from chamberlain.matrix.events import Draft
from chamberlain.matrix.ids import RoomID, parse_room_alias, parse_user_id
from chamberlain.matrix.types import JsonObject
from chamberlain.matrix.versions import RoomVersion, get_room_version
from chamberlain.rooms.address_invites import AddressInvites
from chamberlain.rooms.invite_permission import InvitePermission
from chamberlain.rooms.invites import Invites
from chamberlain.rooms.membership import profile_content
from chamberlain.rooms.pipeline.submit import Submit
from chamberlain.rooms.ports import Profiles
from chamberlain.runtime.clock import Clock
from chamberlain.runtime.log import get_logger
from chamberlain.runtime.rng import Rng

Preset = Literal["private_chat", "public_chat", "trusted_private_chat"]
State = tuple[str, str, JsonObject]
"""Type, state key and content of a state event that is to be."""
MAX_INVITES: Final = 200
MAX_ADDRESSES: Final = 20
"""By address each takes up to three requests to a server that the client names."""
MAX_INITIAL_STATE: Final = 200
INVITES_AT_ONCE: Final = 8
"""So many other servers are asked at a time."""
_PRESETS: Final[Mapping[Preset, tuple[str, str, str]]] = {
    "private_chat": ("invite", "shared", "can_join"),
    "trusted_private_chat": ("invite", "shared", "can_join"),
    "public_chat": ("public", "shared", "forbidden"),
}
_log = get_logger("rooms")


class InitialState(msgspec.Struct):
    """One state event of `initial_state`."""

    type: str
    content: JsonObject
    state_key: str = ""


class RoomOptions(msgspec.Struct, kw_only=True):
    """What a room can be made with: the body of createRoom."""

    visibility: Literal["public", "private"] = "private"
    room_alias_name: str | None = None
    name: str | None = None
    topic: str | None = None
    invite: list[str] = []
    invite_3pid: list[Address] = []
    room_version: str | None = None
    creation_content: JsonObject = {}
    initial_state: list[InitialState] = []
    preset: Preset | None = None
    is_direct: bool = False
    power_level_content_override: JsonObject = {}


class CreateRoom:
    """Makes rooms."""

    def __init__(
        self,
        submit: Submit,
        profiles: Profiles,
        invites: Invites,
        address_invites: AddressInvites,
        permission: InvitePermission,
        clock: Clock,
        rng: Rng,
        *,
        server_name: str,
        default_version: str,
    ) -> None:
        self._submit = submit
        self._profiles = profiles
        self._invites = invites
        self._address_invites = address_invites
        self._permission = permission
        self._clock = clock
        self._rng = rng
        self._server_name = server_name
        self._default_version = default_version

    async def create_room(self, creator: str, options: RoomOptions) -> RoomID:
        """Have a new room with all that the options ask for, or none; give its id.

        Users of other servers, and those behind an address, are invited once it is there; it stays where their
        servers cannot be reached.

        Raises:
            MatrixError: UNSUPPORTED_ROOM_VERSION; ROOM_IN_USE where the alias is taken; INVALID_ROOM_STATE where
                the options contradict one another; INVITE_BLOCKED.
            BadJson, InvalidParam: an option that no room can have.
        """
        asked = options.room_version
        version = get_room_version(self._default_version if asked is None else asked)
        if len(options.invite) > MAX_INVITES or len(options.initial_state) > MAX_INITIAL_STATE:
            raise InvalidParam("Too many invitations or too much initial state")
        if len(options.invite_3pid) > MAX_ADDRESSES:
            raise InvalidParam("Too many invitations by address")
        invited = list(dict.fromkeys(str(parse_user_id(user_id)) for user_id in options.invite))
        alias = self._alias(options.room_alias_name)
        here = [user_id for user_id in invited if self._invites.is_ours(user_id)]
        for user_id in here:
            await self._permission.must_allow(user_id)
        plan = _Plan(creator, options, version, invited, here, alias)
        plan.creator_profile = profile_content(*await self._profiles.in_rooms(creator))
        for user_id in invited:
            plan.profiles[user_id] = profile_content(*await self._profiles.in_rooms(user_id))
        room_id = new_room_id(self._rng, self._server_name)
        drafts = state_drafts(room_id, creator, self._clock.now(), plan.events())
        try:
            made = await self._submit.create(
                room_id, version, drafts, alias=alias, published=options.visibility == "public"
            )
        except Forbidden as error:
            raise MatrixError(ErrCode.INVALID_ROOM_STATE, error.message) from error
        await self._invite_others(creator, made, plan, options)
        return made

    async def _invite_others(
        self, creator: str, room_id: RoomID, plan: "_Plan", options: RoomOptions
    ) -> None:
        free = asyncio.Semaphore(INVITES_AT_ONCE)

        async def invite(whom: str | Address) -> None:
            async with free:
                try:
                    if isinstance(whom, str):
                        await self._invites.invite(creator, room_id, whom, plan.invitation(whom))
                    else:
                        await self._address_invites.invite(
                            creator, room_id, whom, is_direct=options.is_direct
                        )
                except MatrixError as error:
                    user = whom if isinstance(whom, str) else whom.medium
                    _log.warning("a user was not invited", room_id=room_id, user=user, error=str(error))

        others: list[str | Address] = [*options.invite_3pid]
        others.extend(user_id for user_id in plan.invited if not self._invites.is_ours(user_id))
        await asyncio.gather(*map(invite, others))

    def _alias(self, localpart: str | None) -> str | None:
        if localpart is None:
            return None
        if not localpart or ":" in localpart or "\x00" in localpart or any(map(str.isspace, localpart)):
            raise InvalidParam("A room alias name has no spaces and no colon")
        return str(parse_room_alias(f"#{localpart}:{self._server_name}"))


def new_room_id(rng: Rng, server_name: str) -> str:
    """A room id that no room has yet."""
    return f"!{rng.id(18)}:{server_name}"


def state_drafts(room_id: str, sender: str, now: int, state: Iterable[State]) -> list[Draft]:
    """Drafts of state events of one sender in one room, at `now` (ms)."""
    return [
        Draft(
            room_id=room_id,
            type=kind,
            sender=sender,
            content=content,
            state_key=state_key,
            origin_server_ts=now,
        )
        for kind, state_key, content in state
    ]


class _Plan:
    """The first events of one room, in the order of the specification."""

    def __init__(
        self,
        creator: str,
        options: RoomOptions,
        version: RoomVersion,
        invited: list[str],
        invited_here: list[str],
        alias: str | None,
    ) -> None:
        self._creator = creator
        self._options = options
        self._version = version
        self.invited = invited
        self._invited_here = invited_here
        self._alias = alias
        self._preset: Preset = options.preset or (
            "public_chat" if options.visibility == "public" else "private_chat"
        )
        self.creator_profile: JsonObject = {}
        self.profiles: dict[str, JsonObject] = {}

    def events(self) -> list[State]:
        """All of them."""
        options = self._options
        given = {(state.type, state.state_key) for state in options.initial_state}
        events: list[State] = [
            ("m.room.create", "", self._create_content()),
            (MEMBER, self._creator, {"membership": "join"} | self.creator_profile),
        ]
        levels = self._power_levels()
        if ("m.room.power_levels", "") in given:
            levels = next(s.content for s in options.initial_state if s.type == "m.room.power_levels")
        events.append(("m.room.power_levels", "", levels))
        if self._alias is not None and ("m.room.canonical_alias", "") not in given:
            events.append(("m.room.canonical_alias", "", {"alias": self._alias}))
        join_rule, visibility, guest_access = _PRESETS[self._preset]
        for kind, content in (
            ("m.room.join_rules", {"join_rule": join_rule}),
            ("m.room.history_visibility", {"history_visibility": visibility}),
            ("m.room.guest_access", {"guest_access": guest_access}),
        ):
            if (kind, "") not in given:
                events.append((kind, "", content))
        events.extend(self._initial_state())
        if options.name is not None:
            events.append(("m.room.name", "", {"name": options.name}))
        if options.topic is not None:
            events.append(("m.room.topic", "", _topic(options.topic)))
        events.extend((MEMBER, user_id, self.invitation(user_id)) for user_id in self._invited_here)
        return events

    def _create_content(self) -> JsonObject:
        content = dict(self._options.creation_content)
        content["room_version"] = self._version.id
        content.pop("creator", None)
        if self._version.creator_in_content:
            content["creator"] = self._creator
        if self._version.creators_have_infinite_power:
            additional = content.get("additional_creators", [])
            if not isinstance(additional, list):
                raise BadJson("`additional_creators` must be a list of user IDs")
            creators = [str(parse_user_id(user_id)) for user_id in additional]
            if self._preset == "trusted_private_chat":
                creators.extend(self.invited)
            if creators:
                content["additional_creators"] = list(dict.fromkeys(creators))
        return content

    def _power_levels(self) -> JsonObject:
        infinite = self._version.creators_have_infinite_power
        users: dict[str, int] = {} if infinite else {self._creator: 100}
        if self._preset == "trusted_private_chat" and not infinite:
            users.update(dict.fromkeys(self.invited, 100))
        levels: JsonObject = {
            "users": users,
            "users_default": 0,
            "events": {
                "m.room.name": 50,
                "m.room.avatar": 50,
                "m.room.canonical_alias": 50,
                "m.room.power_levels": 100,
                "m.room.history_visibility": 100,
                "m.room.encryption": 100,
                "m.room.server_acl": 100,
                "m.room.tombstone": 150 if infinite else 100,
            },
            "events_default": 0,
            "state_default": 50,
            "ban": 50,
            "kick": 50,
            "redact": 50,
            "invite": 50 if self._preset == "public_chat" else 0,
        }
        return levels | self._options.power_level_content_override

    def _initial_state(self) -> list[State]:
        overridden = set()
        if self._options.name is not None:
            overridden.add("m.room.name")
        if self._options.topic is not None:
            overridden.add("m.room.topic")
        events = []
        for state in self._options.initial_state:
            if state.type in ("m.room.create", MEMBER):
                raise MatrixError(
                    ErrCode.INVALID_ROOM_STATE, f"`initial_state` may not hold {state.type}", status=400
                )
            if state.type == "m.room.power_levels" or (state.type in overridden and not state.state_key):
                continue
            events.append((state.type, state.state_key, state.content))
        return events

    def invitation(self, user_id: str) -> JsonObject:
        """The content of the event that invites a user."""
        direct: JsonObject = {"is_direct": True} if self._options.is_direct else {}
        return {"membership": "invite"} | direct | self.profiles[user_id]


def _topic(topic: str) -> JsonObject:
    return {"topic": topic, "m.topic": {"m.text": [{"body": topic, "mimetype": "text/plain"}]}}
