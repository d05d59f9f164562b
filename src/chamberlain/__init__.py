"""Chamberlain: a Matrix homeserver made for the person who has to run it."""

__version__ = "0.1.0"
