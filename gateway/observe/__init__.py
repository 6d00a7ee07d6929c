"""Listening from outside: what happens becomes metrics and log lines."""
