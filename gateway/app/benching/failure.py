"""What ends a benchmark early."""

from __future__ import annotations

from gateway.errors import GatewayError


class BenchFailure(GatewayError):
    """A benchmark could not be taken to its end; the text says why."""
