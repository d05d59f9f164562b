"""The Matrix rules as a pure library: values in, values out; no clock, no event loop, no database, no network."""
