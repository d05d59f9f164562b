"""How much hypothesis tries: a quick profile for every run, a deep one for the night (`HYPOTHESIS_PROFILE=deep`)."""

import os

from hypothesis import HealthCheck, settings

# The first draw of a process builds tables of all characters, and the machine may be busy: time says nothing here.
_NO_TIMING = [HealthCheck.too_slow]
settings.register_profile("quick", max_examples=100, deadline=None, suppress_health_check=_NO_TIMING)
settings.register_profile("deep", max_examples=5_000, deadline=None, suppress_health_check=_NO_TIMING)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))
