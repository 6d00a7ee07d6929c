"""Hooks: what happened, posted to a customer's own systems."""
