"""Which apps are asked for receipts, and the words that their pushes carry.

A push of any other app carries none, and costs nothing for it.
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway.core.receipts import Mode, ReceiptWords, Sign


class Receipting:
    """`words` makes the words; None: nobody is asked. The apps are told by `learn`."""

    def __init__(self, words: ReceiptWords | None = None) -> None:
        self._words = words
        self.modes: Mapping[str, Mode] = {}
        """Those apps that are asked, and what for."""

    def learn(self, modes: Mapping[str, Mode]) -> None:
        """Another configuration."""
        self.modes = {app: mode for app, mode in modes.items() if mode != "off"}

    def of_event(self, event_id: str, day: int) -> Sign | None:
        """What makes the words of an event's deliveries; None: no app is asked."""
        if self._words is None or not self.modes:
            return None
        return self._words.of_event(event_id, day)
