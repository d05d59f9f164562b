"""What counts as a word for search."""

import pytest

from chamberlain.rooms.words import MAX_WORD, MAX_WORDS, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hello, hello world!", {"hello": 2, "world": 1}),
        ("snake_case & e-mail", {"snake": 1, "case": 1, "e": 1, "mail": 1}),
        ("STRASSE Straße", {"strasse": 2}),
        ("ｆｕｌｌ ﬁsh", {"full": 1, "fish": 1}),
        ("東京 Tokyo", {"東": 1, "京": 1, "tokyo": 1}),
        ("привет Мир", {"привет": 1, "мир": 1}),
        ("?! … \x00", {}),
    ],
)
def test_words(text: str, words: dict[str, int]) -> None:
    """Case, compatibility forms and punctuation do not matter; ideographs are words of their own."""
    assert words_of(text) == words


def test_bounds() -> None:
    """Long words are cut, and of very many different ones only the first are kept."""
    assert list(words_of("x" * 1_000)) == ["x" * MAX_WORD]
    assert len(words_of(" ".join(map(str, range(5_000))))) == MAX_WORDS
