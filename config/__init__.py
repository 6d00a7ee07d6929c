"""Settings: read, checked and explained. Knows nothing of the gateway and the vendors."""
