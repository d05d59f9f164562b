"""Errors: each carries its errcode, its status and its extra fields."""

import pytest

from chamberlain.matrix.errcodes import STATUS, ErrCode
from chamberlain.matrix.errors import (
    BadJson,
    Forbidden,
    InvalidParam,
    LimitExceeded,
    MatrixError,
    MissingParam,
    MissingToken,
    NotFound,
    NotJoined,
    UnknownToken,
)


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (BadJson(), ErrCode.BAD_JSON, 400),
        (InvalidParam(), ErrCode.INVALID_PARAM, 400),
        (MissingParam(), ErrCode.MISSING_PARAM, 400),
        (MissingToken(), ErrCode.MISSING_TOKEN, 401),
        (UnknownToken(), ErrCode.UNKNOWN_TOKEN, 401),
        (Forbidden(), ErrCode.FORBIDDEN, 403),
        (NotJoined(), ErrCode.FORBIDDEN, 403),
        (NotFound(), ErrCode.NOT_FOUND, 404),
        (LimitExceeded(5), ErrCode.LIMIT_EXCEEDED, 429),
    ],
)
def test_each_child_has_its_errcode_and_status(error: MatrixError, code: ErrCode, status: int) -> None:
    """The tree in the module docstring is the truth."""
    assert (error.code, error.status) == (code, status)
    assert error.message
    assert code.value in str(error)


def test_status_and_extra_fields_can_be_given() -> None:
    """An endpoint may document another status, and fields of its own."""
    error = MatrixError(ErrCode.UNRECOGNIZED, "Wrong method", status=405, allow="GET")

    assert (error.status, error.extra) == (405, {"allow": "GET"})
    assert NotFound("No such room", room_id="!a:b").extra == {"room_id": "!a:b"}
    assert repr(error) == "MatrixError(M_UNRECOGNIZED, 'Wrong method', status=405)"


def test_fields_of_rate_limits_and_soft_logouts() -> None:
    """Clients read these from the body."""
    assert LimitExceeded(1500).extra == {"retry_after_ms": 1500}
    assert LimitExceeded(1500).retry_after_ms == 1500
    assert UnknownToken(soft_logout=True).extra == {"soft_logout": True}
    assert UnknownToken().extra == {}


def test_every_errcode_has_a_status_and_the_common_spelling() -> None:
    """`FORBIDDEN` is `M_FORBIDDEN`, and none is without a status."""
    assert set(STATUS) == set(ErrCode)
    for code in ErrCode:
        assert code.value == f"M_{code.name}"
        assert 400 <= STATUS[code] < 600
