"""What every benchmark gets: the stand-ins, a folder, how much to do, and where results go."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from gateway.app.benching.vendors import Vendors
from tests.benchmarks.report import Report
from tests.benchmarks.sizes import Sizes


@dataclass(slots=True)
class Stage:
    """One run of the benchmarks.

    `transports` are those that this version has, `settings` those that its settings may name; the
    one that is measured against the targets comes first.
    """

    folder: Path
    vendors: Vendors
    sizes: Sizes
    report: Report
    transports: list[str]
    settings: list[str]
    secret: str
    started: float = field(default_factory=time.monotonic)

    @property
    def transport(self) -> str:
        """The transport whose own figures have targets."""
        return self.transports[0]

    @property
    def notifications(self) -> int:
        """How many go the whole way, by the default transport."""
        sizes = self.sizes
        return sizes.notifications if self.settings[0] == "native" else sizes.sdk_notifications

    def say(self, text: str) -> None:
        """Tell how far it is."""
        seconds = int(time.monotonic() - self.started)
        print(f"[{seconds // 60:2}:{seconds % 60:02}] {text}", flush=True)
