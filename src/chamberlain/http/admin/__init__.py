"""The administration APIs: Synapse's and Dendrite's paths, and chamberlain's own, all of them façades of operations."""
