"""The words of a text, as search finds them again: without case, accents kept, one by one where no spaces part them."""

import re
import unicodedata
from collections import Counter
from typing import Final

MAX_TEXT: Final = 65_536
MAX_WORD: Final = 64
MAX_WORDS: Final = 300

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
