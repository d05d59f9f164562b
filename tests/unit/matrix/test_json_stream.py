"""A large JSON object is taken apart while it comes."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chamberlain.matrix import json_stream
from chamberlain.matrix.errors import BadJson
from chamberlain.matrix.json_stream import ListReader

LEAVES = st.none() | st.booleans() | st.integers(-9, 9) | st.text('a"\\{}[]:, é\n', max_size=6)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text('ab"\\{}[],', max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text('ab"\\{}[],', max_size=4), VALUES, max_size=3)


def read(data: bytes, sizes: list[int], *names: str, level: int = 1) -> tuple[bytes, dict[str, list[bytes]]]:
    """Feed the data in pieces of these sizes, the last one again and again; give what came out."""
    lists: dict[str, list[bytes]] = {name: [] for name in names}
    reader = ListReader({name: found.append for name, found in lists.items()}, level=level)
    at = 0
    for size in [*sizes, *[sizes[-1]] * len(data)]:
        if at < len(data):
            reader.feed(data[at : at + size])
            at += size
    return reader.finish(), lists


@given(
    before=OBJECTS,
    state=st.lists(OBJECTS, max_size=4),
    chain=st.lists(OBJECTS, max_size=4),
    after=OBJECTS,
    sizes=st.lists(st.integers(1, 50), min_size=1, max_size=5),
    indented=st.booleans(),
)
def test_whatever_the_pieces_the_objects_come_out_whole(
    before: dict[str, Any],
    state: list[Any],
    chain: list[Any],
    after: dict[str, Any],
    sizes: list[int],
    indented: bool,
) -> None:
    """Those of the lists one by one and in order, everything else as it was."""
    whole = {"before": before, "state": state, "x": 1, "auth_chain": chain, "after": [after, "state"]}
    data = orjson.dumps(whole, option=orjson.OPT_INDENT_2 if indented else 0)

    rest, lists = read(data, sizes, "state", "auth_chain")

    assert [orjson.loads(one) for one in lists["state"]] == state
    assert [orjson.loads(one) for one in lists["auth_chain"]] == chain
    assert orjson.loads(rest) == whole | {"state": [], "auth_chain": []}


def test_only_members_of_the_object_itself_are_meant() -> None:
    """Lists of that name deeper inside, and names that only end like it, are part of the rest."""
    data = b'{"a":{"state":[{"b":1}]},"x,\\"state":[{"c":1}],"state" : [ {"d":[{}]} , {"e":"]}"} ],"z":[]}'

    rest, lists = read(data, [7], "state")

    assert lists["state"] == [b'{"d":[{}]}', b'{"e":"]}"}']
    assert orjson.loads(rest) == orjson.loads(data) | {"state": []}


def test_an_object_may_stand_in_an_array() -> None:
    """As in the first version of the answer to a join."""
    rest, lists = read(b'[200, {"state": [{"a":1}]}]', [3], "state", level=2)

    assert (orjson.loads(rest), lists["state"]) == ([200, {"state": []}], [b'{"a":1}'])


@pytest.mark.parametrize(
    "data",
    [
        b'{"state":[{"a":1}',
        b'{"state":[{"a":1}]',
        b'{"state":[1,{"a":1}]}',
        b'{"state":[{"a":1} x {"b":1}]}',
        b'{"state":["text"]}',
        b'{"state":[null]}',
        b"{}}",
        b"]",
    ],
)
def test_what_is_no_such_object_is_refused(data: bytes) -> None:
    """However it is broken on the way to its lists."""
    with pytest.raises(BadJson):
        read(data, [4], "state")


@pytest.mark.parametrize("start", [b'{"state":[{"a":"', b'{"state":[', b'{"a":"', b'{"a":[{"b":"'])
def test_no_more_than_one_thing_is_in_memory(start: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A string or an object without end is refused, wherever it stands."""
    monkeypatch.setattr(json_stream, "MAX_ITEM", 1_000)
    reader = ListReader({"state": lambda _: None})
    reader.feed(start)

    with pytest.raises(BadJson):
        for _ in range(40):
            reader.feed(b" " * 50)


def test_what_is_in_no_list_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though each part of it is small."""
    monkeypatch.setattr(json_stream, "MAX_REST", 1_000)
    reader = ListReader({"state": lambda _: None})
    reader.feed(b'{"other":[')

    with pytest.raises(BadJson):
        for _ in range(1_000):
            reader.feed(b"{},")
