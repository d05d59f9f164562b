"""What other servers send (server-server API, Transactions, EDUs).

`transactions` takes a transaction, `room_queues` works off the PDUs that it staged, `edus` hands out the rest.
"""
