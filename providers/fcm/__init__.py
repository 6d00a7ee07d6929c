"""Firebase Cloud Messaging: what to say, what the answers mean, and a transport on the SDK."""
