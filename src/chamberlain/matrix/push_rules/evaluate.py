"""Which notification an event gives: to one user by their rules, or to all without own rules at once.

Client-server API, Push notifications; `evaluate_defaults` knows the default rules of the model by heart.
"""

from typing import Final

import msgspec

from chamberlain.matrix.events import Event
from chamberlain.matrix.globs import compile_glob
from chamberlain.matrix.ids import UserID
from chamberlain.matrix.push_rules.conditions import RoomContext, fold, may_notify
from chamberlain.matrix.push_rules.model import SILENT, Outcome, Ruleset

_NOBODY: Final[frozenset[str]] = frozenset()
_NOTIFYING_TYPES: Final = frozenset(("m.room.message", "m.room.encrypted", "m.call.invite"))


class Shared(msgspec.Struct, frozen=True):
    """What an event means for everybody who has only the default rules.

    `notify_all` and `highlight_all` hold for all but the sender. `highlighted_users` (any strings that the
    sender wrote; the caller keeps the members among them) are notified and highlighted in any case, `invited`
    is notified.
    """

    sender: UserID
    notify_all: bool = False
    highlight_all: bool = False
    highlighted_users: frozenset[str] = _NOBODY
    invited: UserID | None = None

    def for_user(self, user_id: UserID) -> tuple[bool, bool]:
        """(notify, highlight) for a user with the default rules; equals what `evaluate` says of them."""
        if user_id == self.sender:
            return False, False
        if user_id in self.highlighted_users:
            return True, True
        if self.invited is not None:
            return compile_glob(fold(user_id)).matches(fold(self.invited)), False
        return self.notify_all, self.highlight_all


def evaluate(ruleset: Ruleset, event: Event, room: RoomContext) -> Outcome:
    """What the event means for the ruleset's user: the outcome of the first rule that matches.

    Nobody is notified of what they sent themselves.
    """
    if event.sender == ruleset.user_id:
        return SILENT
    return ruleset.program.run(event, room)


def evaluate_defaults(event: Event, room: RoomContext) -> Shared:
    """The outcome for all users with the default rules, in one pass over the event."""
    content, sender, kind = event.content, event.sender, fold(event.type)
    msgtype = content.get("msgtype")
    if isinstance(msgtype, str) and fold(msgtype) == "m.notice":
        return Shared(sender)
    if kind == "m.room.member":
        return Shared(sender, invited=_find_invited(event))
    mentioned = _NOBODY
    mentions = content.get("m.mentions")
    if isinstance(mentions, dict):
        user_ids = mentions.get("user_ids")
        if isinstance(user_ids, list):
            mentioned = frozenset(user_id for user_id in user_ids if isinstance(user_id, str))
        if mentions.get("room") is True and may_notify(room, "room"):
            return Shared(sender, True, True, mentioned)
    if kind == "m.room.tombstone" and event.state_key == "":
        return Shared(sender, True, True, mentioned)
    relation = content.get("m.relates_to")
    is_edit = isinstance(relation, dict) and relation.get("rel_type") == "m.replace"
    return Shared(sender, kind in _NOTIFYING_TYPES and not is_edit, False, mentioned)


def _find_invited(event: Event) -> UserID | None:
    membership = event.content.get("membership")
    if event.state_key is None or not isinstance(membership, str) or fold(membership) != "invite":
        return None
    return UserID(event.state_key)
