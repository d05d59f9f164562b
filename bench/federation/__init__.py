"""What federation costs: hand-made servers send the same to chamberlain and to Synapse."""
