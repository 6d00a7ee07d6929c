"""From a message to bytes that fit, and from an answer's bytes to what it says. Pure."""
