"""The front door for LearnInk: verify, understand, make durable, answer."""
