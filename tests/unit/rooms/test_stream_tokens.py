"""Tokens of the stream and of history."""

import pytest

from chamberlain.rooms.stream_tokens import (
    HistoryToken,
    StreamToken,
    parse_position,
    parse_stream_token,
    parse_token,
)
from chamberlain.store.history import Cut, Window


@pytest.mark.parametrize(
    "token",
    [
        StreamToken("abcXYZ12", 0),
        StreamToken("a", 987, 1_700_000_000_000),
        HistoryToken(3, 5),
        HistoryToken(0, -7),
        StreamToken("a", 5, is_before=True),
        HistoryToken(7, -2, Window(Cut(0, -1), Cut(10**18 - 1, 9))),
        HistoryToken(7, 2, Window(Cut(3, 0), Cut(4, 9))),
    ],
)
def test_a_token_is_read_as_it_was_written(token: StreamToken | HistoryToken) -> None:
    """Writing and reading a token gives the same."""
    assert parse_token(str(token)) == token


@pytest.mark.parametrize(
    "text",
    [
        "",
        "s",
        "s1",
        "s_1_2",
        "sa_1",
        "sa_1_2_3",
        "sa_-1_2",
        "sa_1_x",
        "t1",
        "t_1",
        "t1_2_3",
        "t1_2_3_4_5_6_7",
        "t1_2_-1_0_5_6",
        "t1_2_1_-2_5_6",
        "sa_1_bb",
        "ta_1",
        "s é_1_2",
        "1_2",
        "sa_٣_1",
        "s" + "a" * 65 + "_1_1",
        "sa_" + "9" * 30 + "_1",
        "t1_" + "9" * 30,
    ],
)
def test_what_is_no_token_is_none(text: str) -> None:
    """Garbage of any kind is no token."""
    assert parse_token(text) is None
    assert parse_position(text) is None


def test_only_a_token_of_the_stream_is_one_for_sync() -> None:
    """A place in a room's history is none in the stream."""
    assert parse_stream_token("t1_2") is None
    assert parse_stream_token("sa_1_2") == StreamToken("a", 1, 2)


def test_the_position_of_a_place_in_history_is_the_one_before_its_event() -> None:
    """A history token stands before its event, a stream token after its change."""
    assert parse_position("sa_12_0") == 12
    assert parse_position("t4_12") == 11
    assert parse_position("sa_12_b") == 12
    assert parse_position("t4_99_2_1_50_9") == 50
    assert parse_position("t4_-99_2_1_50_9") == 2
