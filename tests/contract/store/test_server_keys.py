"""Keys of other servers, on both databases."""

from chamberlain.store import server_keys
from chamberlain.store.database import Database
from chamberlain.store.server_keys import KEPT_OF_ONE, KeyAnswer


async def test_the_latest_answer_takes_the_place_of_those_that_it_has_all_keys_of(db: Database) -> None:
    """Others stay, since their keys have signed events; two at the same time are both kept."""
    await db.write(server_keys.put, "far.test", ["a"], KeyAnswer(1, b"1"))
    await db.write(server_keys.put, "far.test", ["a", "b"], KeyAnswer(2, b"2"))
    await db.write(server_keys.put, "far.test", ["c"], KeyAnswer(2, b"3"))
    await db.write(server_keys.put, "other.test", ["c"], KeyAnswer(2, b"4"))
    assert await db.read(server_keys.find, "far.test") == [KeyAnswer(2, b"2"), KeyAnswer(3, b"3")]

    await db.write(server_keys.put, "far.test", ["c", "b", "a", "d"], KeyAnswer(9, b"5"))
    assert await db.read(server_keys.find, "far.test") == [KeyAnswer(9, b"5")]
    assert await db.read(server_keys.find, "nobody.test") == []


async def test_a_server_that_changes_its_keys_all_the_time_is_bounded(db: Database) -> None:
    """The latest ones are kept."""
    for number in range(KEPT_OF_ONE + 3):
        await db.write(server_keys.put, "far.test", [f"k{number}"], KeyAnswer(number, b"x"))

    found = await db.read(server_keys.find, "far.test")
    assert [answer.fetched_at for answer in found] == list(range(3, KEPT_OF_ONE + 3))
