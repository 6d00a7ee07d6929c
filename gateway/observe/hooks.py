"""What became of posts to hooks, and what waits for each."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from prometheus_client import Counter, Gauge

from gateway.core.clocks import Wall
from gateway.events import HookFailing, HookHeld, HookPosted, HooksBuried
from gateway.ports import HookCount

LABELS = ("hook", "outcome")
OUTCOMES = ("taken", "failed", "throttled", "gone", "refused", "dead")
"""`dead` counts events that became dead letters; the others count posts."""

HookEvent = HookPosted | HookHeld | HookFailing | HooksBuried


class HookMetrics:
    """Counts on `posts`, whose labels are `LABELS`, and shows how many events wait and for how long
    the oldest does. Hooks are those that were added; others are not shown."""

    def __init__(self, posts: Counter, waiting: Gauge, oldest: Gauge) -> None:
        self._posts = posts
        self._waiting = waiting
        self._oldest = oldest
        self._hooks: dict[str, None] = {}

    def learn(self, hooks: Collection[str]) -> None:
        """Make the children of these hooks, at zero; one that has them keeps what it counted, and
        one that is gone shows nothing more that waits."""
        for hook in [one for one in self._hooks if one not in hooks]:
            self._waiting.remove(hook)
            self._oldest.remove(hook)
        self._hooks = dict.fromkeys(hooks)
        for hook in self._hooks:
            for outcome in OUTCOMES:
                self._posts.labels(hook, outcome)
            self._waiting.labels(hook)
            self._oldest.labels(hook)

    def __call__(self, event: HookEvent) -> None:
        """Count an event; what holds a hook is told by /readyz and the log."""
        match event:
            case HookPosted(hook, outcome) if hook in self._hooks:
                self._posts.labels(hook, outcome).inc()
            case HooksBuried(hook, events) if hook in self._hooks:
                self._posts.labels(hook, "dead").inc(events)
            case _:
                pass

    def set(self, counts: Mapping[str, HookCount], *, now: Wall) -> None:
        """Take what waits; for a hook that is not named nothing does."""
        for hook in self._hooks:
            count = counts.get(hook, HookCount())
            self._waiting.labels(hook).set(count.waiting)
            since = now if count.since is None else count.since
            self._oldest.labels(hook).set(max(0.0, now - since))
