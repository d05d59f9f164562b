"""Devices, their keys and the messages sent to them."""
