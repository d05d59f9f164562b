"""Talking to other homeservers (server-server API).

`client` asks them, through `transport`; `request_signing` signs what we ask and verifies what they ask;
`key_ring` knows their keys; `inbound/` takes what they send, `outbound/` sends them what they must hear.
"""
