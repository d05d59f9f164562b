"""Devices: their keys, cross-signing, key backups, messages between them (client-server API, End-to-end encryption)."""
