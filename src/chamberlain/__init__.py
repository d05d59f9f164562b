"""Chamberlain, a Matrix homeserver for the people who have to run one."""

__version__ = "0.1.0"
