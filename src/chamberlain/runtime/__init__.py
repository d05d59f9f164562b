"""What every layer runs on: clock, rng, tasks, caches, log and metrics. Nothing here knows Matrix."""
