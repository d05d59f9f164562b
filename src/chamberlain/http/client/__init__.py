"""The client-server API, one module for each file of the specification's `data/api/client-server`."""
