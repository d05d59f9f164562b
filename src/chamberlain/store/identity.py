"""What a database knows of itself: the server it belongs to and its epoch."""

from chamberlain.store.tx import Read, Write


async def claim(tx: Write, server_name: str, epoch: str) -> str:
    """Make the database this server's if it is nobody's; give the name of the server that owns it."""
    for key, value in (("server_name", server_name), ("epoch", epoch)):
        await tx.run(
            "INSERT INTO meta (key, value) VALUES (:key, :value) ON CONFLICT (key) DO NOTHING",
            key=key,
            value=value,
        )
    owner: str = await tx.value("SELECT value FROM meta WHERE key = 'server_name'")
    return owner


async def epoch(tx: Read) -> str:
    """Give the epoch, which every sync token carries: another one means an initial sync."""
    found: str = await tx.value("SELECT value FROM meta WHERE key = 'epoch'")
    return found
