"""Room versions as data: which version has which rule."""

import pytest

from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import MatrixError
from chamberlain.matrix.versions import ROOM_VERSIONS, EventIdFormat, StateRes, get_room_version

ALL = [str(number) for number in range(1, 13)]


def _with(rule: str) -> list[str]:
    return [version.id for version in ROOM_VERSIONS.values() if getattr(version, rule)]


def test_versions_1_to_12_are_there_in_order() -> None:
    """Each under its own id."""
    assert list(ROOM_VERSIONS) == ALL
    assert [version.id for version in ROOM_VERSIONS.values()] == ALL


@pytest.mark.parametrize(
    ("rule", "versions"),
    [
        ("redaction_needs_power", ALL[:2]),
        ("has_hash_event_ids", ALL[2:]),
        ("key_validity_enforced", ALL[4:]),
        ("strict_canonical_json", ALL[5:]),
        ("aliases_rule", ALL[:5]),
        ("notification_levels_checked", ALL[5:]),
        ("knocking", ALL[6:]),
        ("restricted_joins", ALL[7:]),
        ("knock_restricted", ALL[9:]),
        ("integer_power_levels", ALL[9:]),
        ("creator_in_content", ALL[:10]),
        ("redacts_in_content", ALL[10:]),
        ("room_id_is_create_hash", ["12"]),
        ("creators_have_infinite_power", ["12"]),
    ],
)
def test_each_rule_holds_from_its_version_on(rule: str, versions: list[str]) -> None:
    """The feature matrix of the specification."""
    assert _with(rule) == versions


def test_event_ids_and_state_resolution() -> None:
    """The formats changed in versions 3 and 4, the algorithm in 2 and 12."""
    assert [v.event_id_format for v in ROOM_VERSIONS.values()] == [
        *[EventIdFormat.SERVER] * 2,
        EventIdFormat.BASE64,
        *[EventIdFormat.URL_SAFE_BASE64] * 9,
    ]
    assert [v.state_res for v in ROOM_VERSIONS.values()] == [
        StateRes.V1,
        *[StateRes.V2] * 10,
        StateRes.V2_1,
    ]


@pytest.mark.parametrize("version", ["", "13", "0", "org.example.version", None, 11, ["11"], {}])
def test_an_unknown_version_is_an_error_with_its_errcode(version: object) -> None:
    """Whatever a request may hold."""
    with pytest.raises(MatrixError) as caught:
        get_room_version(version)

    assert caught.value.code is ErrCode.UNSUPPORTED_ROOM_VERSION
    assert caught.value.status == 400
