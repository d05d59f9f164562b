"""Random values have the shape that is asked for."""

import re

from chamberlain.runtime.rng import Rng
from tests.support.rng import SeededRng


def test_values_have_the_promised_shape() -> None:
    """Tokens are URL-safe, ids are letters, numbers stay in their range."""
    rng = Rng()

    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", rng.token())
    assert re.fullmatch(r"[A-Za-z]{10}", rng.id(10))
    assert {rng.below(3) for _ in range(200)} == {0, 1, 2}
    assert rng.below(1) == 0
    assert rng.choice(["only"]) == "only"


def test_a_seed_repeats_itself_and_another_does_not() -> None:
    """Tests with the same seed see the same values."""
    assert SeededRng(1).token() == SeededRng(1).token() != SeededRng(2).token()
