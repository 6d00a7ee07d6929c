"""Whose lane it is, and which part an address belongs to, by the vendor's rules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.core.model import lane_name
from providers.contract import Address


@dataclass(frozen=True, slots=True)
class Route:
    """Whose lane it is, and into which parts its addresses fall."""

    app: str
    vendor: str
    parts: Sequence[str]
    part_of: Callable[[Address], str]

    @property
    def name(self) -> str:
        return lane_name(self.app, self.vendor)
