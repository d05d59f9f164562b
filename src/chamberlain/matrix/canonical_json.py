"""Canonical JSON: the one spelling of an object that is hashed and signed (appendices, Canonical JSON).

Room versions 6 and later, and everything that is not an event, know only integers within ±(2^53-1):
`encode` and `decode`. The events of room versions 1 to 5 may hold any number: `encode_lenient` and
`decode_lenient`.
"""

import json  # noqa: TID251  (only its spelling of floats and huge integers is what the other servers hash)
from typing import Any, Final

import msgspec
import orjson

from chamberlain.matrix.errors import BadJson

MAX_INTEGER: Final = 2**53 - 1

_OPTIONS: Final = (
    orjson.OPT_SORT_KEYS
    | orjson.OPT_STRICT_INTEGER
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
)
_LEAVES: Final = frozenset({str, int, bool, type(None)})


def _refuse_float(_: str) -> Any:
    raise ValueError("not an integer")


_strict_decoder = msgspec.json.Decoder(float_hook=_refuse_float)
_lenient_decoder = msgspec.json.Decoder()
_lenient_encoder = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
)


def encode(value: Any) -> bytes:
    """The canonical bytes of `value`.

    Raises:
        BadJson: it holds a float, an integer beyond ±(2^53-1), a lone surrogate, or what is not JSON at all.
    """
    encoded = encode_unchecked(value)
    if _has_float(value):
        raise BadJson("Numbers must be integers here")
    return encoded


def encode_unchecked(value: Any) -> bytes:
    """The canonical bytes of a value in which floats are known not to stand.

    Raises:
        BadJson: it holds an integer beyond ±(2^53-1), a lone surrogate, or what is not JSON at all.
    """
    try:
        return orjson.dumps(value, option=_OPTIONS)
    except TypeError as error:
        raise BadJson(f"Not valid canonical JSON: {error}") from error


def _has_float(value: Any) -> bool:
    """Whether a float stands anywhere in a value that orjson could encode (which bounds its depth)."""
    kind = type(value)
    if kind is dict:
        value = value.values()
    elif kind is not list and kind is not tuple:
        return isinstance(value, float)
    for item in value:  # noqa: SIM110  (a generator would take a third longer on every event built)
        if type(item) not in _LEAVES and _has_float(item):
            return True
    return False


def decode(data: bytes) -> Any:
    """The value of JSON that may hold no floats; of a repeated key the last one counts.

    Raises:
        BadJson: it is not JSON, not UTF-8, nested too deeply, or holds a fraction or an exponent.
    """
    try:
        return _strict_decoder.decode(data)
    except msgspec.ValidationError as error:
        # The decoder takes any type, so this can come of `_refuse_float` alone.
        raise BadJson("Numbers must be integers here") from error
    except (msgspec.MsgspecError, UnicodeError, ValueError, RecursionError) as error:
        raise BadJson("Not valid JSON") from error


def encode_lenient(value: Any) -> bytes:
    """The canonical bytes of `value` as room versions 1 to 5 want them, floats and huge integers included.

    Raises:
        BadJson: it holds NaN, infinity, a lone surrogate, or what is not JSON at all.
    """
    try:
        return _lenient_encoder.encode(value).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise BadJson("Not valid JSON") from error


def decode_lenient(data: bytes) -> Any:
    """The value of JSON that may hold any finite number.

    Raises:
        BadJson: it is not JSON, not UTF-8, or nested too deeply.
    """
    try:
        return _lenient_decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeError, ValueError, RecursionError) as error:
        raise BadJson("Not valid JSON") from error
