"""The cache stays bounded and keeps what is used."""

from hypothesis import given
from hypothesis import strategies as st

from chamberlain.runtime.cache import Cache, sizes


def test_what_is_used_stays_and_the_rest_goes() -> None:
    """An entry that is read between writes survives any number of them."""
    cache: Cache[int, str] = Cache(10)
    cache.set(0, "kept")
    for number in range(1, 1000):
        cache.set(number, "x")
        assert cache.get(0) == "kept"

    assert len(cache) <= 10
    assert cache.get(1) is None
    assert cache.get(1, "other") == "other"


def test_a_removed_entry_is_gone_from_both_generations() -> None:
    """`pop` and `clear` leave no older copy behind."""
    cache: Cache[int, int] = Cache(4)
    cache.set(1, 1)
    cache.set(2, 2)
    cache.set(3, 3)
    cache.set(1, 11)

    assert cache.pop(1) == 11
    assert cache.pop(1) is None
    assert 1 not in cache
    cache.clear()
    assert len(cache) == 0


def test_none_is_a_value_like_any_other() -> None:
    """A kept None is found, and not taken for a miss."""
    cache: Cache[str, int | None] = Cache(4)
    cache.set("a", None)

    assert "a" in cache
    assert cache.get("a", 7) is None


@given(st.lists(st.tuples(st.integers(0, 20), st.integers()), max_size=200), st.integers(1, 16))
def test_a_hit_is_always_the_last_value_written(writes: list[tuple[int, int]], size: int) -> None:
    """Whatever is forgotten, nothing stale is ever answered."""
    cache: Cache[int, int] = Cache(size)
    truth: dict[int, int] = {}
    for key, value in writes:
        cache.set(key, value)
        truth[key] = value

        assert cache.get(key) == value
        assert len(cache) <= max(2, size)
    for key, value in truth.items():
        assert cache.get(key) in (None, value)


def test_caches_with_a_name_are_shown() -> None:
    """Those of one name are added up, forgotten ones are not counted, nameless ones not shown."""
    one, two, _ = Cache[int, int](4, "shown"), Cache[int, int](6, "shown"), Cache[int, int](6)
    for key in range(3):
        one.set(key, key)
    two.set(1, 1)

    assert sizes()["shown"] == (4, 10)
    assert "" not in sizes()
    del two
    assert sizes()["shown"] == (3, 4)


async def test_what_was_read_before_a_change_is_not_kept() -> None:
    """A value that was being read while something was forgotten is given, but read anew next time."""
    cache: Cache[str, str] = Cache(10)
    reads: list[str] = []

    async def read(key: str) -> str:
        reads.append(key)
        if len(reads) == 1:
            cache.pop("another")
        return f"{key} {len(reads)}"

    assert [await cache.fetch("one", read) for _ in range(3)] == ["one 1", "one 2", "one 2"]


async def test_nothing_is_not_kept() -> None:
    """Where there is nothing to read, it is looked for again."""
    cache: Cache[str, str] = Cache(10)
    found = iter((None, "there"))

    async def read(_: str) -> str | None:
        return next(found)

    assert [await cache.fetch("one", read) for _ in range(3)] == [None, "there", "there"]
