"""The words of texts and events, as search finds them again: without case, accents kept, one by one without spaces."""

import re
import unicodedata
from collections import Counter
from typing import Final

from chamberlain.matrix.types import JsonObject

MAX_TEXT: Final = 65_536
MAX_WORD: Final = 64
MAX_WORDS: Final = 300
KEYS: Final = {
    "content.body": "m.room.message",
    "content.name": "m.room.name",
    "content.topic": "m.room.topic",
}
"""What can be searched, and the type of the events that have it."""

_IDEOGRAPHS: Final = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD: Final = re.compile(rf"[{_IDEOGRAPHS}]|[^\W_{_IDEOGRAPHS}]+")


def words_of(text: str) -> Counter[str]:
    """How often each word stands in a text; of a very long text, its beginning."""
    plain = unicodedata.normalize("NFKC", text[:MAX_TEXT]).casefold()
    counted: Counter[str] = Counter()
    for found in _WORD.finditer(plain):
        word = found[0][:MAX_WORD]
        if word in counted or len(counted) < MAX_WORDS:
            counted[word] += 1
    return counted


def words_in(type: str, content: JsonObject) -> Counter[str]:
    """The words of an event that can be searched for, with how often each of them stands there."""
    for key, kind in KEYS.items():
        if type == kind:
            text = content.get(key.removeprefix("content."))
            found = words_of(text) if isinstance(text, str) else Counter[str]()
            return found or words_of(_plain_topic(content)) if kind == "m.room.topic" else found
    return Counter()


def _plain_topic(content: JsonObject) -> str:
    """The text/plain form in the extensible part of a topic."""
    block = content.get("m.topic")
    texts = block.get("m.text") if isinstance(block, dict) else None
    for text in texts if isinstance(texts, list) else ():
        if isinstance(text, dict) and text.get("mimetype", "text/plain") == "text/plain":
            body = text.get("body")
            if isinstance(body, str):
                return body
    return ""
