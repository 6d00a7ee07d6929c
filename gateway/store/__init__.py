"""Databases behind the ports: each folder is one engine; SQL lives in sql/<engine>/."""
