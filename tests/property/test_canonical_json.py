"""Canonical JSON for any document: one spelling, which comes back unchanged."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chamberlain.matrix import canonical_json
from chamberlain.matrix.errors import BadJson, MatrixError

INTEGERS = st.integers(-canonical_json.MAX_INTEGER, canonical_json.MAX_INTEGER)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
LEAVES = st.none() | st.booleans() | INTEGERS | TEXT


def _nested(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
        max_leaves=25,
    )


STRICT = _nested(LEAVES)
LENIENT = _nested(LEAVES | st.integers() | st.floats(allow_nan=False, allow_infinity=False))


@given(STRICT)
def test_what_was_encoded_decodes_to_the_same(value: Any) -> None:
    """And both encoders give the same bytes, which are those of the specification's own recipe."""
    encoded = canonical_json.encode(value)
    recipe = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)

    assert canonical_json.decode(encoded) == value
    assert canonical_json.encode(canonical_json.decode(encoded)) == encoded
    assert canonical_json.encode_lenient(value) == encoded == recipe.encode()


@given(st.dictionaries(TEXT, STRICT, min_size=2, max_size=6), st.randoms(use_true_random=False))
def test_the_order_of_keys_does_not_matter(value: dict[str, Any], rnd: Any) -> None:
    """An object has one spelling."""
    keys = list(value)
    rnd.shuffle(keys)

    assert canonical_json.encode({key: value[key] for key in keys}) == canonical_json.encode(value)


@given(LENIENT)
def test_old_rooms_keep_every_number(value: Any) -> None:
    """Their spelling too comes back unchanged."""
    encoded = canonical_json.encode_lenient(value)

    assert canonical_json.encode_lenient(canonical_json.decode_lenient(encoded)) == encoded


def _holds_float(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_holds_float(item) for item in value.values())
    if isinstance(value, list):
        return any(_holds_float(item) for item in value)
    return isinstance(value, float)


@given(_nested(LEAVES | st.floats()))
def test_floats_are_found_wherever_they_stand(value: Any) -> None:
    """NaN and infinity too; and nothing else is taken for one."""
    if _holds_float(value):
        with pytest.raises(BadJson):
            canonical_json.encode(value)
    else:
        assert canonical_json.decode(canonical_json.encode(value)) == value


@given(st.binary(max_size=60) | STRICT.map(lambda value: json.dumps(value).encode()[:-1]))
def test_decoding_raises_nothing_but_matrix_errors(data: bytes) -> None:
    """Whatever bytes a peer sends."""
    for decode in (canonical_json.decode, canonical_json.decode_lenient):
        try:
            decode(data)
        except MatrixError as error:
            assert error.status == 400
