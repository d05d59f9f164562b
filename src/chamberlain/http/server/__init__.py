"""The endpoints of the Server-Server API, each file named after one of the specification's."""
