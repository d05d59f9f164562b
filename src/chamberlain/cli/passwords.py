"""Asking for a password without showing it."""

import sys

import click


def read_password(*, stdin: bool = False) -> str:
    """A password that was typed twice, or the first line of standard input."""
    if stdin:
        return sys.stdin.readline().rstrip("\r\n")
    answer: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    return answer
