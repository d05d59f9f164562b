"""What other servers send, and ask of the rooms that this one is in (server-server API, Transactions, EDUs).

`transactions` takes a transaction, `room_queues` works off the PDUs that it staged, `edus` hands out the rest.
`resident` lets users of other servers into rooms and out, `invitations` takes invitations of ours.
"""
