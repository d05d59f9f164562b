"""What a client is told, and when."""
