"""Hooks: events that are posted to a customer's own systems, signed as Standard Webhooks."""
