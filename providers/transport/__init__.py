"""Shared by the transports of all vendors: batches of verdicts, fair waiting, TLS trust."""
