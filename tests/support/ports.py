"""Ports for servers whose name holds one, so that it must be known before they start."""

import random
import socket

LOWEST, HIGHEST = 12_000, 32_000
"""Below what systems give to outgoing connections: nobody takes the port while its server is down."""


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on."""
    while True:
        port = random.SystemRandom().randrange(LOWEST, HIGHEST)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
