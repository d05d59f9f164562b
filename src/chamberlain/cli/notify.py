"""Telling systemd (`Type=notify`) that the server is ready or stopping."""

import os
import socket


def ready() -> None:
    """Say that connections are accepted. Does nothing where nobody asked."""
    _send(b"READY=1")


def stopping() -> None:
    """Say that the server is on its way down."""
    _send(b"STOPPING=1")


def _send(message: bytes) -> None:
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        try:
            channel.connect(address)
            channel.sendall(message)
        except OSError:
            return
