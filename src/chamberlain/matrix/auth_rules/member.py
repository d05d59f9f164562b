"""Who may join, invite, leave, kick, ban and knock (Room Versions, the m.room.member rule)."""

from collections.abc import Mapping
from typing import NamedTuple

from chamberlain.matrix.auth_rules.power_levels import PowerLevels, creators_of, power_levels_of
from chamberlain.matrix.auth_rules.selection import AUTHORIZER, JOIN_RULES_KEY
from chamberlain.matrix.auth_rules.third_party import check_third_party_invite
from chamberlain.matrix.auth_rules.verdict import ALLOW, Reject, Verdict
from chamberlain.matrix.events import Event
from chamberlain.matrix.ids import is_valid_user_id
from chamberlain.matrix.types import StateKey


class _Case(NamedTuple):
    """A change of membership, with what the rules ask of it."""

    event: Event
    state: Mapping[StateKey, Event]
    create: Event
    target: str
    target_membership: str
    sender_membership: str
    levels: PowerLevels


def membership_of(state: Mapping[StateKey, Event], user_id: str) -> str:
    """The membership that a user has; `leave` for who was never there."""
    event = state.get(("m.room.member", user_id))
    if event is None:
        return "leave"
    membership = event.content.get("membership")
    return membership if isinstance(membership, str) else "leave"


def join_rule_of(state: Mapping[StateKey, Event]) -> str:
    """The room's join rule; `invite` where none is set."""
    event = state.get(JOIN_RULES_KEY)
    rule = None if event is None else event.content.get("join_rule")
    return rule if isinstance(rule, str) else "invite"


def check_member(event: Event, state: Mapping[StateKey, Event], create: Event) -> Verdict:
    """The verdict on an m.room.member event.

    That a join with `join_authorised_via_users_server` carries the signature of that user's server is checked
    with the other signatures (`event_signatures.required_signers`).
    """
    target = event.state_key
    if target is None or not is_valid_user_id(target):
        return Reject("A membership belongs to a user ID")
    membership = event.content.get("membership")
    if not isinstance(membership, str):
        return Reject("The event names no membership")
    rule = _RULES.get(membership)
    if rule is None or (membership == "knock" and not event.version.knocking):
        return Reject("The membership is unknown")
    case = _Case(
        event,
        state,
        create,
        target,
        membership_of(state, target),
        membership_of(state, event.sender),
        power_levels_of(state),
    )
    return rule(case)


def _check_join(case: _Case) -> Verdict:
    event = case.event
    if event.prev_events == (case.create.event_id,) and _is_creator(case):
        return ALLOW
    if event.sender != case.target:
        return Reject("You cannot make somebody else join")
    if case.target_membership == "ban":
        return Reject("You are banned from this room")
    version = event.version
    if version.restricted_joins and not is_valid_user_id(event.content.get(AUTHORIZER, event.sender)):
        return Reject("What vouches for this join is no user ID")
    rule = join_rule_of(case.state)
    if rule == "public":
        return ALLOW
    if rule == "restricted" and version.restricted_joins:
        return _check_restricted_join(case)
    if rule == "knock_restricted" and version.knock_restricted:
        return _check_restricted_join(case)
    if rule == "invite" or (rule == "knock" and version.knocking):
        if case.target_membership in ("invite", "join"):
            return ALLOW
        return Reject("You are not invited to this room")
    return Reject("The join rule lets nobody in")


def _is_creator(case: _Case) -> bool:
    if case.create.version.creator_in_content:
        return case.target in creators_of(case.create)
    return case.target == case.create.sender


def _check_restricted_join(case: _Case) -> Verdict:
    if case.target_membership in ("invite", "join"):
        return ALLOW
    authorizer = case.event.content.get(AUTHORIZER)
    if not isinstance(authorizer, str):
        return Reject("Nobody who may invite has vouched for this join")
    if membership_of(case.state, authorizer) != "join":
        return Reject("Who vouched for this join is not in the room")
    if case.levels.user_level(authorizer) < case.levels.invite:
        return Reject("Who vouched for this join may not invite")
    return ALLOW


def _check_invite(case: _Case) -> Verdict:
    if "third_party_invite" in case.event.content:
        return check_third_party_invite(case.event, case.state, case.target, case.target_membership)
    if case.sender_membership != "join":
        return Reject("You are not in this room")
    if case.target_membership == "ban":
        return Reject(f"{case.target} is banned from this room")
    if case.target_membership == "join":
        return Reject(f"{case.target} is already in this room")
    if case.levels.user_level(case.event.sender) < case.levels.invite:
        return Reject("You do not have the power to invite")
    return ALLOW


def _check_leave(case: _Case) -> Verdict:
    levels, sender = case.levels, case.event.sender
    if sender == case.target:
        may_leave = ("invite", "join", "knock") if case.event.version.knocking else ("invite", "join")
        return ALLOW if case.target_membership in may_leave else Reject("You are not in this room")
    if case.sender_membership != "join":
        return Reject("You are not in this room")
    own_level = levels.user_level(sender)
    if case.target_membership == "ban" and own_level < levels.ban:
        return Reject("You do not have the power to lift a ban")
    if own_level < levels.kick:
        return Reject("You do not have the power to remove anybody")
    return _check_outranks(case, own_level)


def _check_ban(case: _Case) -> Verdict:
    if case.sender_membership != "join":
        return Reject("You are not in this room")
    own_level = case.levels.user_level(case.event.sender)
    if own_level < case.levels.ban:
        return Reject("You do not have the power to ban")
    return _check_outranks(case, own_level)


def _check_outranks(case: _Case, own_level: int) -> Verdict:
    if case.levels.user_level(case.target) >= own_level:
        return Reject(f"{case.target} has as much power as you")
    return ALLOW


def _check_knock(case: _Case) -> Verdict:
    rule = join_rule_of(case.state)
    if rule != "knock" and not (rule == "knock_restricted" and case.event.version.knock_restricted):
        return Reject("The join rule does not let anybody knock")
    if case.event.sender != case.target:
        return Reject("You cannot knock for somebody else")
    if case.target_membership in ("ban", "invite", "join"):
        return Reject("You cannot knock: you are banned, invited or in the room already")
    return ALLOW


_RULES = {
    "join": _check_join,
    "invite": _check_invite,
    "leave": _check_leave,
    "ban": _check_ban,
    "knock": _check_knock,
}
