"""Binding the sockets of the listeners before anything else, so that a taken port is known at once."""

import os
import socket
import stat
from pathlib import Path

import click

BACKLOG = 2048


def bind_tcp(address: str, port: int, *, shared: bool = False) -> socket.socket:
    """A bound TCP socket that does not listen yet; `shared`: other workers bind the same port beside it.

    Refuses in words when the port is taken or may not be used.
    """
    try:
        found = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, where = found[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as problem:
        raise click.ClickException(f"cannot listen on {address}: {problem}") from problem
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if address == "::" else 1)
        bound.bind(where)
    except OSError as problem:
        bound.close()
        raise click.ClickException(f"cannot listen on {address} port {port}: {problem.strerror}") from problem
    bound.setblocking(False)
    return bound


def bind_unix(path: Path, mode: int) -> socket.socket:
    """A bound unix socket with those permissions, in place of one that an earlier server left behind."""
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o777 & ~mode)
    try:
        if path.exists() and stat.S_ISSOCK(path.stat().st_mode):
            path.unlink()
        bound.bind(str(path))
    except OSError as problem:
        bound.close()
        reason = problem.strerror or str(problem)
        raise click.ClickException(f"cannot listen on the unix socket {path}: {reason}") from problem
    finally:
        os.umask(before)
    bound.setblocking(False)
    return bound
