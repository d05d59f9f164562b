"""Talking to other homeservers (server-server API).

`client` asks them, through `transport` (`https`: `discovery` finds them, `connections` reaches them), unless `gate`
or `availability` is against it; `request_signing` signs what we ask and verifies what they ask; `key_ring` knows
their keys, `own_keys` ours; `inbound/` takes what they send, `outbound/` sends them what they must hear.
"""
