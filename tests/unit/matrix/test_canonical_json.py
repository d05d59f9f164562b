"""Canonical JSON: the specification's examples, and what is refused."""

import pytest

from chamberlain.matrix import canonical_json
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import BadJson

VECTORS = [
    ("{}", "{}"),
    ('{"one": 1, "two": "Two"}', '{"one":1,"two":"Two"}'),
    ('{"b": "2", "a": "1"}', '{"a":"1","b":"2"}'),
    ('{"b":"2","a":"1"}', '{"a":"1","b":"2"}'),
    (
        '{"auth": {"success": true, "mxid": "@john.doe:example.com", "profile": {"display_name": "John Doe", '
        '"three_pids": [{"medium": "email", "address": "john.doe@example.org"}, '
        '{"medium": "msisdn", "address": "123456789"}]}}}',
        '{"auth":{"mxid":"@john.doe:example.com","profile":{"display_name":"John Doe","three_pids":'
        '[{"address":"john.doe@example.org","medium":"email"},{"address":"123456789","medium":"msisdn"}]},'
        '"success":true}}',
    ),
    ('{"a": "日本語"}', '{"a":"日本語"}'),
    ('{"本": 2, "日": 1}', '{"日":1,"本":2}'),
    (r'{"a": "\u65E5"}', '{"a":"日"}'),
    ('{"a": null}', '{"a":null}'),
    ('{"a": -0}', '{"a":0}'),
    (
        r'{"a": "\u0000\u001f\b\t\n\f\r\"\\\/\u007f\u2028"}',
        '{"a":"\\u0000\\u001f\\b\\t\\n\\f\\r\\"\\\\/\x7f\u2028"}',
    ),
    ('{"\\ud83d\\ude00": 1, "\\uffee": 2}', '{"\uffee":2,"\U0001f600":1}'),
]


@pytest.mark.parametrize(("source", "expected"), VECTORS)
def test_the_examples_of_the_specification(source: str, expected: str) -> None:
    """Both encoders agree with it; keys are sorted by code point, beyond the basic plane too."""
    value = canonical_json.decode(source.encode())

    assert canonical_json.encode(value) == expected.encode()
    assert canonical_json.encode_unchecked(value) == expected.encode()
    assert canonical_json.encode_lenient(value) == expected.encode()


def test_an_integer_written_with_an_exponent_is_one_integer() -> None:
    """The last example: in Python there is no exponent left to write."""
    assert canonical_json.encode({"a": -0, "b": 10**10}) == b'{"a":0,"b":10000000000}'


@pytest.mark.parametrize(
    "value",
    [
        1.0,
        {"a": 1.5},
        {"a": {"b": [1, 2, {"c": 0.1}]}},
        [float("nan")],
        {"a": float("inf")},
        (1.0,),
        {"a": 2**53},
        {"a": -(2**53)},
        [2**64],
        {"a": "\ud800"},
        {"\udfff": 1},
        {1: 2},
        {"a": {1, 2}},
        b"bytes",
        object(),
    ],
)
def test_what_canonical_json_has_not_is_refused(value: object) -> None:
    """Floats, integers beyond ±(2^53-1), lone surrogates, and what is no JSON."""
    with pytest.raises(BadJson) as caught:
        canonical_json.encode(value)

    assert caught.value.code is ErrCode.BAD_JSON


def test_the_largest_integers_pass() -> None:
    """The limits belong to the range."""
    limit = canonical_json.MAX_INTEGER

    assert canonical_json.encode([limit, -limit]) == b"[9007199254740991,-9007199254740991]"


@pytest.mark.parametrize(
    "data",
    [
        b"1.0",
        b'{"a":1e3}',
        b'{"a":-0.0}',
        b'{"a":[{"b":1.5}]}',
        b"",
        b"{",
        b"nope",
        b'{"a":NaN}',
        b'"\\ud800"',
        b'"\xff"',
        b"[" * 5000,
        b"{}{}",
        b"[1,]",
    ],
)
def test_strict_decoding_refuses_floats_and_broken_documents(data: bytes) -> None:
    """Never anything but M_BAD_JSON, whatever came over the wire."""
    with pytest.raises(BadJson):
        canonical_json.decode(data)


def test_a_float_is_named_as_what_is_wrong() -> None:
    """So that whoever wrote a client knows what to change."""
    for refuse in (
        lambda: canonical_json.decode(b'{"a":[1.5]}'),
        lambda: canonical_json.encode({"a": [1.5]}),
    ):
        with pytest.raises(BadJson, match="integers"):
            refuse()


def test_deep_nesting_is_refused_by_both_encoders() -> None:
    """No recursion error reaches the caller."""
    deep: list[object] = []
    for _ in range(5000):
        deep = [deep]

    for encode in (canonical_json.encode, canonical_json.encode_lenient):
        with pytest.raises(BadJson):
            encode(deep)


def test_of_a_repeated_key_the_last_counts() -> None:
    """As in every JSON library that other servers use."""
    assert canonical_json.decode(b'{"a":1,"a":2}') == {"a": 2}
    assert canonical_json.decode_lenient(b'{"a":1,"a":2}') == {"a": 2}


def test_old_room_versions_keep_floats_and_huge_integers() -> None:
    """Their hashes were made over these spellings."""
    value = canonical_json.decode_lenient(b'{"b":123456789012345678901234567890,"a":1.5,"c":1e30}')

    assert canonical_json.encode_lenient(value) == b'{"a":1.5,"b":123456789012345678901234567890,"c":1e+30}'


@pytest.mark.parametrize("value", [float("nan"), {"a": float("inf")}, {"a": "\ud800"}, object()])
def test_lenient_encoding_still_wants_json(value: object) -> None:
    """Neither NaN nor a lone surrogate."""
    with pytest.raises(BadJson):
        canonical_json.encode_lenient(value)


@pytest.mark.parametrize("data", [b"", b"{", b'"\\ud800"', b"[" * 5000, b"1" * 5000])
def test_lenient_decoding_still_wants_json(data: bytes) -> None:
    """A broken document is refused, and so is a number that no computer wants to read."""
    with pytest.raises(BadJson):
        canonical_json.decode_lenient(data)
