"""Authorization of create events."""

from typing import Any

import pytest

from chamberlain.matrix.auth_rules import ALLOW, Reject, check
from chamberlain.matrix.events import Draft, Event, build
from chamberlain.matrix.versions import ROOM_VERSIONS, RoomVersion
from tests.support.event_room import ALICE, BOB, KEY, Room

VERSIONS = list(ROOM_VERSIONS.values())


def _create(version: RoomVersion, content: Any, **changes: Any) -> Event:
    fields: dict[str, Any] = {"room_id": "!room:a.example", "sender": ALICE, "state_key": ""} | changes
    prev_events = fields.pop("prev_events", [])
    return build(
        Draft(type="m.room.create", content=content, origin_server_ts=1, **fields),
        version=version,
        prev_events=prev_events,
        auth_events=[],
        depth=1,
        server_name="a.example",
        signing_key=KEY,
    )


@pytest.mark.parametrize("version", VERSIONS, ids=lambda v: v.id)
def test_a_room_can_be_created(version: RoomVersion) -> None:
    """In every room version, and nobody has to be in it before."""
    assert check(_create(version, {"room_version": version.id, "creator": ALICE}), {}) is ALLOW


@pytest.mark.parametrize("version", VERSIONS, ids=lambda v: v.id)
def test_a_create_event_comes_first(version: RoomVersion) -> None:
    """Nothing stands before it, and it is state with an empty key."""
    content = {"creator": ALICE}

    assert isinstance(check(_create(version, content, prev_events=["$x"]), {}), Reject)
    assert isinstance(check(_create(version, content, state_key="x"), {}), Reject)
    assert isinstance(check(_create(version, content, state_key=None), {}), Reject)


@pytest.mark.parametrize("version", VERSIONS, ids=lambda v: v.id)
def test_the_room_id_is_of_the_creators_server(version: RoomVersion) -> None:
    """Until room version 12, whose room ids name no server."""
    verdict = check(_create(version, {"creator": ALICE}, room_id="!room:b.example"), {})

    assert verdict.allowed is version.room_id_is_create_hash


@pytest.mark.parametrize("named", ["13", "org.example", 5, None, []])
def test_an_unknown_room_version_is_rejected(named: object) -> None:
    """A create event without one is of version 1."""
    for version in VERSIONS:
        assert isinstance(check(_create(version, {"creator": ALICE, "room_version": named}), {}), Reject)


@pytest.mark.parametrize("version", VERSIONS, ids=lambda v: v.id)
def test_the_creator_is_named_until_version_10(version: RoomVersion) -> None:
    """Since 11 the sender is it."""
    assert check(_create(version, {}), {}).allowed is not version.creator_in_content


@pytest.mark.parametrize(
    ("additional", "allowed"),
    [
        ([], True),
        ([BOB], True),
        ("x", False),
        (None, False),
        ([5], False),
        (["bob"], False),
        ({BOB: 1}, False),
    ],
)
def test_additional_creators_are_users(additional: object, allowed: bool) -> None:
    """In room version 12; before it nobody looks."""
    for version in VERSIONS:
        verdict = check(_create(version, {"creator": ALICE, "additional_creators": additional}), {})

        assert verdict.allowed is (allowed or not version.creators_have_infinite_power)


def test_the_second_create_event_of_a_room_is_rejected() -> None:
    """It has the first one before it."""
    assert isinstance(Room().verdict("m.room.create", ALICE, {"room_version": "11"}, ""), Reject)
