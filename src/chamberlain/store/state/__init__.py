"""Room state as a branching temporal table.

A room's current state is a line of versions: a row holds an event for a key from one version to another. A
fork is a short line of its own that has a base on another one. A point, (line, version), names a state for
good; an event records the point before it. Keys and events are numbers here.

For local events on the current line: `append_many`, then `renew` where `epoch_is_due`. For everything else
see `merge`. All writing is done under the room's head.
"""

from chamberlain.store.state.auth import Ingredients, auth_difference, ingredients, unconflicted
from chamberlain.store.state.difference import difference
from chamberlain.store.state.keys import find_keys, intern_keys, names_of
from chamberlain.store.state.lines import LINES_PER_WRITE, Point
from chamberlain.store.state.merge import (
    Comparison,
    after,
    changes_to,
    compare,
    given,
    remember_after,
    replace_before,
    settle,
)
from chamberlain.store.state.purge import drop_room, purge
from chamberlain.store.state.read import (
    before,
    current,
    full,
    full_by_name,
    get,
    get_many,
    members,
    of_types,
    point_at,
    without_members,
)
from chamberlain.store.state.write import (
    View,
    advance_current,
    append_many,
    epoch_is_due,
    new_room_line,
    note_position,
    place,
    renew,
)

__all__ = [
    "LINES_PER_WRITE",
    "Comparison",
    "Ingredients",
    "Point",
    "View",
    "advance_current",
    "after",
    "append_many",
    "auth_difference",
    "before",
    "changes_to",
    "compare",
    "current",
    "difference",
    "drop_room",
    "epoch_is_due",
    "find_keys",
    "full",
    "full_by_name",
    "get",
    "get_many",
    "given",
    "ingredients",
    "intern_keys",
    "members",
    "names_of",
    "new_room_line",
    "note_position",
    "of_types",
    "place",
    "point_at",
    "purge",
    "remember_after",
    "renew",
    "replace_before",
    "settle",
    "unconflicted",
    "without_members",
]
