"""The push vocabulary and the vendors. Knows nothing of the gateway or its configuration."""
