"""Queues behind the port `gateway.ports.Queue`."""
