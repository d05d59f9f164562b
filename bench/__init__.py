"""Measures a fresh server of this checkout: rates, latencies, CPU for each operation, memory."""
