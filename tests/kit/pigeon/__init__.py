"""Pigeon post: a push service that nobody has, as a vendor's folder would be.

`vendor` is what the gateway gets, `loft` the service itself on loopback.
"""
