"""What the transports of all vendors share: batches of verdicts, waiting lines, TLS trust."""
