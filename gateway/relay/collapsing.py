"""Which older pushes those of an app replace, as this process is configured now.

Owns what that means for a delivery: its key, whether FCM gets one, and whether it has to ask before
it starts. The keys are `core.newer`'s.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from gateway.core.collapsing import origin_of
from gateway.core.newer import Collapse, key_of
from gateway.relay.work import Delivery


class Collapsing:
    """`modes` has the apps whose mode is not the usual one, `delivery`."""

    def __init__(self, modes: Mapping[str, Collapse]) -> None:
        self.modes: dict[str, Collapse] = {}
        self.learn(modes)

    def learn(self, modes: Mapping[str, Collapse]) -> None:
        """Take over other modes, of all apps; what is in hand keeps its key."""
        self.modes = {app: mode for app, mode in modes.items() if mode != "delivery"}

    def is_ordered(self, app: str) -> bool:
        """Whether an app's pushes with keys ask before they start."""
        return bool(self.modes) and self.modes.get(app) in ("path", "user")

    def shape(self, delivery: Delivery) -> None:
        """Give a delivery what its app's mode asks for. One with a key was never looked up as far
        as its lane knows, so it starts by way of `lookups` and `order`. A correction has the key of
        what it corrects."""
        mode = self.modes.get(delivery.target.app)
        if mode is None:
            return
        if mode == "none":
            delivery.has_key = False
            return
        origin = origin_of(delivery.work.chunk.event_id, delivery.item)
        if key := key_of(mode, origin.path, delivery.target):
            delivery.collapse_id = key
            delivery.looked_up = -math.inf
