"""The Matrix rules as a pure library: values in, values out; no clock, event loop, database or network."""
