"""How deep JSON is nested, whatever stands in its strings."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chamberlain.http.json_body import MAX_DEPTH, check_json
from chamberlain.matrix.errors import BadJson

TEXT = st.text(alphabet='ab[]{}"\\, ', max_size=6)
VALUES = st.recursive(
    TEXT, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4)
)


@given(value=VALUES, depth=st.sampled_from([MAX_DEPTH - 1, MAX_DEPTH]), many=st.booleans())
def test_brackets_in_strings_do_not_count(value: object, depth: int, many: bool) -> None:
    """A value with any strings beside a deep array is taken up to the limit and refused above it."""
    deep: object = []
    for _ in range(depth - 1):
        deep = [deep]
    beside = [value] * (150 if many else 1)
    body = orjson.dumps(
        {"beside": [len(orjson.dumps(beside))], "text": orjson.dumps(beside).decode(), "deep": deep}
    )
    if depth < MAX_DEPTH:
        check_json(body)
    else:
        with pytest.raises(BadJson):
            check_json(body)
