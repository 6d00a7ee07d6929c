"""A multiplexed HTTP/2 client: a connection without a socket, and an asyncio pool around it."""
