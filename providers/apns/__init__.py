"""Apple's push service: what to say, what the answers mean, and a transport on aioapns."""
