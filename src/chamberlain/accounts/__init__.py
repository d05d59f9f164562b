"""Accounts: who may ask, and as whom (client-server API, 4 to 6)."""
