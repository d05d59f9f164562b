"""Profiles, as others see them."""

import asyncio

import pytest

from tests.support.server import Client, Server


async def test_a_profile_is_seen_by_all(server: Server, alice: Client, bob: Client) -> None:
    """Every field can be set, read by anyone, changed, and deleted."""
    fields = {
        "displayname": "Älice",
        "avatar_url": "mxc://example.org/abc",
        "m.tz": "Europe/Berlin",
        "org.example.job": {"title": "Chamberlain", "since": 1.5, "boss": None},
    }
    for name, value in fields.items():
        (await alice.put(f"profile/{alice.user_id}/{name}", {name: value})).ok()
    assert (await bob.get(f"profile/{alice.user_id}")).ok() == fields
    assert (await server.anonymous.get(f"profile/{alice.user_id}/m.tz")).ok() == {"m.tz": "Europe/Berlin"}

    for _ in range(2):
        (await alice.delete(f"profile/{alice.user_id}/m.tz")).ok()
    (await bob.get(f"profile/{alice.user_id}/m.tz")).error(404, "M_NOT_FOUND")
    (await alice.put(f"profile/{alice.user_id}/displayname", {"displayname": ""})).ok()
    (await bob.get(f"profile/{alice.user_id}/displayname")).error(404, "M_NOT_FOUND")
    assert set((await bob.get(f"profile/{alice.user_id}")).ok()) == {"avatar_url", "org.example.job"}


async def test_nobody_changes_the_profile_of_others(server: Server, alice: Client, bob: Client) -> None:
    """A user cannot, an administrator can."""
    target = f"profile/{alice.user_id}/displayname"
    (await bob.put(target, {"displayname": "B"})).error(403, "M_FORBIDDEN")
    (await bob.delete(target)).error(403, "M_FORBIDDEN")
    (await server.anonymous.put(target, {"displayname": "B"})).error(401, "M_MISSING_TOKEN")
    await server.app.services.accounts.users.set_admin(bob.user_id, True)
    (await bob.put(target, {"displayname": "B"})).ok()

    assert (await alice.get(target)).ok() == {"displayname": "B"}


@pytest.mark.parametrize(
    ("name", "body", "errcode"),
    [
        ("displayname", {}, "M_MISSING_PARAM"),
        ("displayname", {"avatar_url": "x"}, "M_MISSING_PARAM"),
        ("displayname", {"displayname": 7}, "M_INVALID_PARAM"),
        ("displayname", {"displayname": None}, "M_INVALID_PARAM"),
        ("displayname", {"displayname": "x" * 257}, "M_INVALID_PARAM"),
        ("avatar_url", {"avatar_url": "https://example.org/me.png"}, "M_INVALID_PARAM"),
        ("m.tz", {"m.tz": {}}, "M_INVALID_PARAM"),
        ("Upper", {"Upper": 1}, "M_INVALID_PARAM"),
        ("a" * 256, {"a" * 256: 1}, "M_KEY_TOO_LARGE"),
        ("org.example.big", {"org.example.big": "x" * 65_536}, "M_PROFILE_TOO_LARGE"),
        ("displayname", [], "M_BAD_JSON"),
    ],
)
async def test_fields_that_cannot_be(alice: Client, name: str, body: object, errcode: str) -> None:
    """A field with a wrong name, type or size is refused, and nothing is changed."""
    (await alice.put(f"profile/{alice.user_id}/{name}", body)).error(400, errcode)

    assert (await alice.get(f"profile/{alice.user_id}")).ok() == {"displayname": "alice"}


async def test_the_whole_profile_is_bounded(alice: Client) -> None:
    """Fields that are small alone are refused when they would make the profile too large, even at once."""
    answers = await asyncio.gather(
        *(
            alice.put(f"profile/{alice.user_id}/org.example.f{n}", {f"org.example.f{n}": "x" * 15_000})
            for n in range(8)
        )
    )

    assert sorted(answer.status for answer in answers) == [200] * 4 + [400] * 4
    assert len((await alice.get(f"profile/{alice.user_id}")).body) <= 65_536


@pytest.mark.parametrize(
    ("user_id", "status", "errcode"),
    [
        ("@nobody:example.org", 404, "M_NOT_FOUND"),
        # Whether there is such a user, only that server could say.
        ("@nobody:elsewhere.org", 502, "M_UNKNOWN"),
        ("nobody", 400, "M_INVALID_PARAM"),
        ("@" + "a" * 10_000 + ":example.org", 400, "M_INVALID_PARAM"),
    ],
)
async def test_profiles_that_are_not_there(server: Server, user_id: str, status: int, errcode: str) -> None:
    """An unknown user has no profile, and what is no user id is no user id."""
    (await server.anonymous.get(f"profile/{user_id}")).error(status, errcode)
    (await server.anonymous.get(f"profile/{user_id}/displayname")).error(status, errcode)


async def test_the_suspended_keep_their_profile(server: Server, alice: Client) -> None:
    """A suspended user can read, but not change it."""
    await server.app.services.accounts.users.set_suspended(alice.user_id, True)

    target = f"profile/{alice.user_id}/displayname"
    (await alice.put(target, {"displayname": "x"})).error(403, "M_USER_SUSPENDED")
    (await alice.delete(target)).error(403, "M_USER_SUSPENDED")
    assert (await alice.get(target)).ok() == {"displayname": "alice"}


async def test_the_user_directory_knows_whom_one_may_know(server: Server, alice: Client, bob: Client) -> None:
    """People in common or public rooms are found by name and id, others are not."""
    carol = await server.register("carol")
    await server.register("carla")
    search = "user_directory/search"
    assert (await alice.post(search, {"search_term": "bob"})).ok() == {"results": [], "limited": False}
    (await bob.put(f"profile/{bob.user_id}/displayname", {"displayname": "Robert"})).ok()
    room = await bob.create_room(preset="private_chat")
    await bob.invite(room, alice)
    await alice.join(room)
    await carol.create_room(preset="public_chat")

    for term in ("ROBERT", "@bob", "ober"):
        found = (await alice.post(search, {"search_term": term})).ok()["results"]
        assert found == [{"user_id": bob.user_id, "display_name": "Robert"}]
    assert [u["user_id"] for u in (await alice.post(search, {"search_term": "car"})).ok()["results"]] == [
        carol.user_id
    ]
    assert (await alice.post(search, {"search_term": "_"})).ok()["results"] == []
    limited = (await alice.post(search, {"search_term": "example", "limit": 1})).ok()
    assert (len(limited["results"]), limited["limited"]) == (1, True)
    (await alice.post(search, {})).error(400, "M_MISSING_PARAM")
    (await alice.post(search, {"search_term": "x", "limit": "y"})).error(400, "M_BAD_JSON")
    assert (await alice.post(search, {"search_term": "bob", "limit": -5})).ok()["results"] == []
