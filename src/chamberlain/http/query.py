"""Reading query strings: each key with every value it was given."""

from urllib.parse import unquote_to_bytes

from chamberlain.matrix.errors import InvalidParam


def parse_query(query_string: bytes) -> dict[str, list[str]]:
    """The decoded keys, each with its decoded values in order; a key without `=` has the empty value.

    Raises:
        InvalidParam: bytes that are not UTF-8, or U+0000.
    """
    found: dict[str, list[str]] = {}
    if query_string:
        for pair in query_string.split(b"&"):
            if pair:
                key, _, value = pair.partition(b"=")
                found.setdefault(_decode(key), []).append(_decode(value))
    return found


def _decode(text: bytes) -> str:
    if b"+" in text:
        text = text.replace(b"+", b" ")
    if b"%" in text:
        text = unquote_to_bytes(text)
    try:
        decoded = text.decode()
    except UnicodeDecodeError:
        raise InvalidParam("The query string is not UTF-8") from None
    if "\0" in decoded:
        raise InvalidParam("The query string has a null character")
    return decoded
