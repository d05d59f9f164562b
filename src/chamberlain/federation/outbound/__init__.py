"""What other servers are sent: events, to-device messages, device lists, typing, receipts, presence.

Destinations are dealt out to a few shards; the worker that holds a shard's lease sends to all of them. `ledger` follows
the change stream and `audience` says whom an event is for; `lane` is one destination's queue, `composing` makes its
transactions, `delivery` sends them, and `slots` lets only so many be under way at a time. The database knows how far
each destination has been told (`store.outbox_queue`), so that memory may forget one that is idle, slow or gone.
"""
