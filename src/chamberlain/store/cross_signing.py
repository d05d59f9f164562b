"""Cross-signing keys and signatures on other users' keys (client-server API, Cross-signing)."""

from typing import NamedTuple

from chamberlain.store import device_lists, kinds
from chamberlain.store.tx import Read, Write

MASTER = "master"


class KeyRow(NamedTuple):
    """One cross-signing key; `key` is its JSON object."""

    usage: str
    public_key: str
    key: bytes


class UserSignature(NamedTuple):
    """A signature on another user's master key."""

    target: str
    target_key: str
    signing_key: str
    signature: str


async def of_users(tx: Read, user_ids: list[str]) -> list[tuple[str, KeyRow]]:
    """Give (user, key) for each cross-signing key of these users."""
    rows = await tx.all(
        "SELECT user_id, usage, public_key, key FROM cross_signing_keys WHERE user_id = ANY(:user_ids)",
        user_ids=user_ids,
    )
    return [(row[0], KeyRow(row[1], row[2], row[3])) for row in rows]


async def replace(tx: Write, user_id: str, keys: list[KeyRow], expected_master: str | None) -> bool:
    """Set some of a user's keys; False where the master key was not `expected_master` (None: there is none).

    With a new master key, keys of the old one that are not set anew are gone.
    """
    masters = [key for key in keys if key.usage == MASTER]
    if expected_master is None:
        if not masters or not await _insert_first(tx, user_id, masters[0]):
            return False
    elif expected_master != await tx.value(
        "SELECT public_key FROM cross_signing_keys WHERE user_id = :user_id AND usage = 'master' FOR UPDATE",
        user_id=user_id,
    ):
        return False
    if masters and masters[0].public_key != expected_master:
        await tx.run("DELETE FROM cross_signing_keys WHERE user_id = :user_id", user_id=user_id)
    await tx.many(
        "INSERT INTO cross_signing_keys (user_id, usage, public_key, key)"
        " VALUES (:user_id, :usage, :public_key, :key) ON CONFLICT (user_id, usage)"
        " DO UPDATE SET public_key = excluded.public_key, key = excluded.key",
        [{"user_id": user_id, **key._asdict()} for key in keys],
    )
    await _forget_stale_signatures(tx, user_id)
    device_lists.mark(tx, user_id)
    return True


async def _insert_first(tx: Write, user_id: str, master: KeyRow) -> bool:
    made = await tx.run(
        "INSERT INTO cross_signing_keys (user_id, usage, public_key, key)"
        " VALUES (:user_id, :usage, :public_key, :key) ON CONFLICT (user_id, usage) DO NOTHING",
        user_id=user_id,
        **master._asdict(),
    )
    return bool(made)


async def _forget_stale_signatures(tx: Write, user_id: str) -> None:
    await tx.run(
        "DELETE FROM user_signatures WHERE signer = :user_id AND signing_key NOT IN ("
        "SELECT 'ed25519:' || public_key FROM cross_signing_keys"
        " WHERE user_id = :user_id AND usage = 'user_signing')",
        user_id=user_id,
    )


async def put(tx: Write, user_id: str, usage: str, key: bytes, expected: bytes) -> bool:
    """Set the JSON of a key, with more signatures; False where it was not `expected`."""
    done = await tx.run(
        "UPDATE cross_signing_keys SET key = :key"
        " WHERE user_id = :user_id AND usage = :usage AND key = :expected",
        user_id=user_id,
        usage=usage,
        key=key,
        expected=expected,
    )
    if done:
        device_lists.mark(tx, user_id)
    return bool(done)


async def add_user_signatures(tx: Write, signer: str, signatures: list[UserSignature]) -> None:
    """Keep what a user signed of others' master keys, in place of older signatures by the same key."""
    for signature in dict.fromkeys(signatures):
        tx.place(kinds.USER_SIGNATURE, signer, signature.target).write(
            "INSERT INTO user_signatures (signer, target, target_key, signing_key, signature, position)"
            " VALUES (:signer, :target, :target_key, :signing_key, :signature, :position)"
            " ON CONFLICT (signer, target, target_key, signing_key)"
            " DO UPDATE SET signature = excluded.signature, position = excluded.position",
            signer=signer,
            **signature._asdict(),
        )


async def user_signatures_by(tx: Read, signer: str) -> list[UserSignature]:
    """Give every signature that a user made on others' master keys."""
    rows = await tx.all(
        "SELECT target, target_key, signing_key, signature FROM user_signatures WHERE signer = :signer",
        signer=signer,
    )
    return [UserSignature(*row) for row in rows]


async def delete_all(tx: Write, user_id: str) -> None:
    """Delete a user's cross-signing keys and what the user signed with them."""
    deleted = await tx.run("DELETE FROM cross_signing_keys WHERE user_id = :user_id", user_id=user_id)
    await tx.run("DELETE FROM user_signatures WHERE signer = :user_id", user_id=user_id)
    if deleted:
        device_lists.mark(tx, user_id)
