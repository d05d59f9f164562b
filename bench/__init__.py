"""A load harness: starts a fresh server, drives it over HTTP, and says what each operation cost."""
