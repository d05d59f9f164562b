"""Rooms and everything that happens in them."""
