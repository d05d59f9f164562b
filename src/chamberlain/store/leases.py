"""Leases: what only one worker may do at a time, and the token that fences off one that lost it."""

import msgspec

from chamberlain.store.tx import Write


class LeaseLost(Exception):
    """Another worker has taken over; nothing of this transaction was kept."""


class Lease(msgspec.Struct, frozen=True):
    """A held lease. `token` grows with each holder."""

    name: str
    holder: str
    token: int


async def take(tx: Write, name: str, holder: str, now: int, until: int) -> Lease | None:
    """Hold the lease until `until` (ms); None while another holder has it."""
    token = await tx.value(
        "INSERT INTO leases (name, holder, token, until) VALUES (:name, :holder, 1, :until)"
        " ON CONFLICT (name) DO UPDATE SET holder = :holder, token = leases.token + 1, until = :until"
        " WHERE leases.until <= :now RETURNING token",
        name=name,
        holder=holder,
        now=now,
        until=until,
    )
    return None if token is None else Lease(name, holder, token)


async def renew(tx: Write, lease: Lease, until: int) -> bool:
    """Hold the lease until `until` (ms); False where another holder has taken it over."""
    return bool(
        await tx.run(
            "UPDATE leases SET until = :until WHERE name = :name AND token = :token",
            name=lease.name,
            token=lease.token,
            until=until,
        )
    )


async def release(tx: Write, lease: Lease) -> None:
    """Let others take the lease at once; harmless where another holder has it already."""
    await tx.run(
        "UPDATE leases SET until = 0 WHERE name = :name AND token = :token",
        name=lease.name,
        token=lease.token,
    )


async def release_held_by(tx: Write, holder: str) -> None:
    """Let every lease of a holder be taken at once: for whoever takes the place of a dead one."""
    await tx.run("UPDATE leases SET until = 0 WHERE holder = :holder", holder=holder)


async def fence(tx: Write, lease: Lease) -> None:
    """Make sure that the lease is held up to the commit; raises LeaseLost."""
    token = await tx.value("SELECT token FROM leases WHERE name = :name FOR UPDATE", name=lease.name)
    if token != lease.token:
        raise LeaseLost(lease.name)


async def forget(tx: Write, names: list[str]) -> None:
    """Delete the leases of things that are no more, so that they do not pile up."""
    await tx.run("DELETE FROM leases WHERE name = ANY(:names)", names=names)
