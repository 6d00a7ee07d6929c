"""The rules of the gateway, pure: no await, no clock, no I/O; time and jitter are arguments."""
