"""What a redaction leaves of an event, for each room version (client-server API, Redactions)."""

from typing import Any

from chamberlain.matrix.types import JsonObject
from chamberlain.matrix.versions import RedactionRules, RoomVersion


def redact_json(pdu: JsonObject, version: RoomVersion) -> JsonObject:
    """A copy of a PDU with only what the room version protects from redaction."""
    rules = version.redaction
    top_level = rules.top_level
    kept = {key: value for key, value in pdu.items() if key in top_level}
    kept["content"] = redact_content(pdu.get("type"), pdu.get("content"), rules)
    return kept


def redact_content(event_type: Any, content: Any, rules: RedactionRules) -> JsonObject:
    """The part of an event's content that stays."""
    if not content or not isinstance(content, dict) or not isinstance(event_type, str):
        return {}
    if rules.create_content_kept and event_type == "m.room.create":
        return content
    keys = rules.content.get(event_type)
    if keys is None:
        return {}
    kept = {key: value for key, value in content.items() if key in keys}
    if rules.third_party_signed_kept and event_type == "m.room.member":
        invite = content.get("third_party_invite")
        if isinstance(invite, dict) and "signed" in invite:
            kept["third_party_invite"] = {"signed": invite["signed"]}
    return kept
