"""Whether a redaction may take effect (Room Versions, Handling redactions)."""

from chamberlain.matrix.auth_rules.power_levels import PowerLevels
from chamberlain.matrix.auth_rules.verdict import ALLOW, Reject, Verdict
from chamberlain.matrix.events import Event
from chamberlain.matrix.ids import find_server_of


def redaction_applies(redaction: Event, target: Event, levels: PowerLevels) -> bool:
    """Whether `redaction` redacts `target`, by the power levels in the state before the redaction."""
    if redaction.redacts != target.event_id or redaction.room_id != target.room_id:
        return False
    if levels.user_level(redaction.sender) >= levels.redact:
        return True
    return find_server_of(redaction.sender) == find_server_of(target.sender)


def check_redaction(event: Event, levels: PowerLevels) -> Verdict:
    """The rule of room versions 1 and 2, whose event ids say which server they are of."""
    if levels.user_level(event.sender) >= levels.redact:
        return ALLOW
    if event.redacts is not None and find_server_of(event.redacts) == find_server_of(event.event_id):
        return ALLOW
    return Reject("You do not have the power to redact events of other servers")
