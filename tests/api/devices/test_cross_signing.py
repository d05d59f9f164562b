"""Cross-signing keys and signatures, and who sees which of them."""

from typing import Any

import pytest

from tests.api.devices.signing import Identity, devices_of
from tests.api.devices.test_devices import proof
from tests.support.server import Client, Server

Json = dict[str, Any]
UPLOAD = "keys/device_signing/upload"
SIGNATURES = "keys/signatures/upload"


async def query(asker: Client, user: Client) -> Json:
    """What one user sees of the keys of another."""
    found: Json = (await asker.post("keys/query", {"device_keys": {user.user_id: []}})).ok()
    return found


@pytest.fixture
async def identity(alice: Client) -> Identity:
    """Alice, who has uploaded everything."""
    identity = Identity(alice)
    (await alice.post("keys/upload", {"device_keys": identity.device_keys()})).ok()
    (await alice.post(UPLOAD, identity.cross_signing())).ok()
    return identity


async def test_the_first_keys_need_no_proof_others_do(alice: Client, bob: Client, identity: Identity) -> None:
    """The same keys again need none either; new ones need the password, and then take the old ones' place."""
    (await alice.post(UPLOAD, identity.cross_signing())).ok()
    seen = await query(bob, alice)
    assert list(seen["master_keys"][alice.user_id]["keys"].values()) == [identity.master]
    assert list(seen["self_signing_keys"][alice.user_id]["keys"].values()) == [identity.self_signing]
    assert seen["user_signing_keys"] == {}
    own = (await query(alice, alice))["user_signing_keys"][alice.user_id]
    assert list(own["keys"].values()) == [identity.user_signing]

    new = Identity(alice, seed=2)
    challenge = await alice.post(UPLOAD, new.cross_signing())
    assert challenge.status == 401
    assert await query(bob, alice) == seen
    auth = proof(alice, challenge.json["session"])
    (await alice.post(UPLOAD, new.cross_signing() | {"auth": auth})).ok()
    seen = await query(bob, alice)
    assert list(seen["master_keys"][alice.user_id]["keys"].values()) == [new.master]


async def test_keys_with_wrong_signatures_are_refused(alice: Client) -> None:
    """Keys must be signed by the master key, which must be there."""
    identity, stranger = Identity(alice), Identity(alice, seed=2)
    body = identity.cross_signing()
    only = {"self_signing_key": body["self_signing_key"]}
    (await alice.post(UPLOAD, only)).error(400, "M_MISSING_PARAM")
    wrong = body | {"self_signing_key": stranger.cross_signing()["self_signing_key"]}
    (await alice.post(UPLOAD, wrong)).error(400, "M_INVALID_SIGNATURE")
    unsigned = body | {"user_signing_key": identity.key("user_signing", identity.user_signing)}
    (await alice.post(UPLOAD, unsigned)).error(400, "M_INVALID_SIGNATURE")
    assert (await query(alice, alice))["master_keys"] == {}


async def test_badly_shaped_keys_are_refused(alice: Client, bob: Client) -> None:
    """Another user's key, a key for another use, two keys, a name that is not the key, a device's id."""
    identity = Identity(alice)
    good = identity.key("master", identity.master)
    for bad in (
        good | {"user_id": bob.user_id},
        good | {"usage": ["self_signing"]},
        good | {"usage": "master"},
        good | {"keys": good["keys"] | {"ed25519:b": "b"}},
        good | {"keys": {"ed25519:other": identity.master}},
        good | {"keys": {"ed25519:short": "short"}},
        good | {"keys": {}},
        {},
    ):
        (await alice.post(UPLOAD, {"master_key": bad})).error(400, "M_INVALID_PARAM")
    (await alice.post(UPLOAD, {"master_key": good | {"x": 0.5}})).error(400, "M_BAD_JSON")


async def test_a_key_that_is_named_like_a_device_is_refused(server: Server, alice: Client) -> None:
    """The ids of keys and devices share one namespace."""
    identity = Identity(alice)
    await server.login("alice", device_id=identity.master)
    (await alice.post(UPLOAD, identity.cross_signing())).error(403, "M_FORBIDDEN")


async def test_a_device_signed_by_its_user_is_shown_so_to_all(
    alice: Client, bob: Client, identity: Identity
) -> None:
    """The self-signing key's signature stands beside the device's own, also after a new upload of the keys."""
    device = identity.device_keys()
    signed = identity.by_self_signing(device)
    body = {alice.user_id: {alice.device_id: signed}}
    assert (await alice.post(SIGNATURES, body)).ok() == {"failures": {}}
    assert (await alice.post(SIGNATURES, body)).ok() == {"failures": {}}
    names = {f"ed25519:{alice.device_id}", f"ed25519:{identity.self_signing}"}

    async def shown() -> set[str]:
        return set((await devices_of(bob, alice))[alice.device_id]["signatures"][alice.user_id])

    assert await shown() == names
    (await alice.post("keys/upload", {"device_keys": device})).ok()
    assert await shown() == names


async def test_a_master_key_signed_by_a_device_is_shown_so(
    alice: Client, bob: Client, identity: Identity
) -> None:
    """A signature of the user's own device on the master key is public."""
    signed = identity.by_device(identity.key("master", identity.master))
    assert (await alice.post(SIGNATURES, {alice.user_id: {identity.master: signed}})).ok() == {"failures": {}}
    master = (await query(bob, alice))["master_keys"][alice.user_id]
    assert set(master["signatures"][alice.user_id]) == {f"ed25519:{alice.device_id}"}


async def test_a_signature_on_another_user_is_shown_to_its_signer_alone(
    server: Server, alice: Client, bob: Client, identity: Identity
) -> None:
    """Alice verified Bob: she sees that on all her devices, Bob and Carol do not."""
    carol = await server.register("carol")
    bobs = Identity(bob, seed=3)
    (await bob.post(UPLOAD, bobs.cross_signing())).ok()
    master = bobs.key("master", bobs.master)
    body = {bob.user_id: {bobs.master: identity.by_user_signing(master)}}
    assert (await alice.post(SIGNATURES, body)).ok() == {"failures": {}}

    other = await server.login("alice")
    for asker in (alice, other):
        seen = (await query(asker, bob))["master_keys"][bob.user_id]
        assert set(seen["signatures"][alice.user_id]) == {f"ed25519:{identity.user_signing}"}
    for asker in (bob, carol):
        assert (await query(asker, bob))["master_keys"][bob.user_id] == master


async def test_each_bad_signature_is_a_failure_of_its_own(
    alice: Client, bob: Client, identity: Identity
) -> None:
    """Good ones are kept beside bad ones, and each bad one says what is wrong."""
    bobs = Identity(bob, seed=3)
    (await bob.post(UPLOAD, bobs.cross_signing())).ok()
    device = identity.device_keys()
    forged = Identity(alice, seed=9).sign(device, 1, identity.self_signing)
    changed = identity.by_self_signing(device | {"algorithms": ["b"]})
    master = identity.by_device(identity.key("master", identity.master))
    other = bobs.key("master", bobs.master)

    def failures(answer: Any) -> Json:
        return {
            user: {key: e["errcode"] for key, e in keys.items()}
            for user, keys in answer.ok()["failures"].items()
        }

    for bad in (forged, changed, device, device | {"signatures": "x"}, {}):
        body = {alice.user_id: {alice.device_id: bad}}
        assert failures(await alice.post(SIGNATURES, body)) == {
            alice.user_id: {alice.device_id: "M_INVALID_SIGNATURE"}
        }
    body = {
        alice.user_id: {identity.master: master, "UNKNOWN": device},
        bob.user_id: {bobs.master: other, "unknown": other},
        "@none:example.org": {"k": other},
    }
    assert failures(await alice.post(SIGNATURES, body)) == {
        alice.user_id: {"UNKNOWN": "M_NOT_FOUND"},
        bob.user_id: {bobs.master: "M_INVALID_SIGNATURE", "unknown": "M_NOT_FOUND"},
        "@none:example.org": {"k": "M_NOT_FOUND"},
    }
    assert "signatures" in (await query(bob, alice))["master_keys"][alice.user_id]


async def test_without_keys_of_ones_own_nothing_can_be_signed(alice: Client, bob: Client) -> None:
    """Signatures by keys that were never uploaded are failures."""
    bobs, alices = Identity(bob), Identity(alice)
    (await alice.post("keys/upload", {"device_keys": alices.device_keys()})).ok()
    (await bob.post(UPLOAD, bobs.cross_signing())).ok()
    signed = alices.by_user_signing(bobs.key("master", bobs.master))
    answer = (await alice.post(SIGNATURES, {bob.user_id: {bobs.master: signed}})).ok()
    assert answer["failures"][bob.user_id][bobs.master]["errcode"] == "M_NOT_FOUND"
    own = alices.by_self_signing(alices.device_keys())
    answer = (await alice.post(SIGNATURES, {alice.user_id: {alice.device_id: own}})).ok()
    assert answer["failures"][alice.user_id][alice.device_id]["errcode"] == "M_NOT_FOUND"
