"""The rules of the gateway, pure: no await, no clock, no I/O; time and dice are arguments."""
