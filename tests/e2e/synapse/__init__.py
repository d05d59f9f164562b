"""Chamberlain and Synapse as neighbors."""
