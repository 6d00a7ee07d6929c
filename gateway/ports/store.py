"""The database as a whole."""

from __future__ import annotations

from typing import Protocol

from gateway.ports.audit import Audit
from gateway.ports.cancels import Cancels
from gateway.ports.doubts import Doubts
from gateway.ports.effect import Effects
from gateway.ports.erasures import Erasures
from gateway.ports.experiments import Experiments
from gateway.ports.hooks import Hooks
from gateway.ports.journal import Journal
from gateway.ports.keys import Keys
from gateway.ports.lanes import Lanes
from gateway.ports.learning import Learning
from gateway.ports.people import People
from gateway.ports.receipts import Receipts
from gateway.ports.registry import Registry
from gateway.ports.replicas import Replicas
from gateway.ports.starts import Starts
from gateway.ports.suppressions import Suppressions
from gateway.ports.times import Times


class Store(Protocol):
    """The database as a whole: its ports, its health, its end."""

    @property
    def registry(self) -> Registry:
        """Who has which device."""

    @property
    def journal(self) -> Journal:
        """What happened."""

    @property
    def receipts(self) -> Receipts:
        """What phones told of pushes."""

    @property
    def effects(self) -> Effects:
        """What was counted of whole days."""

    @property
    def learning(self) -> Learning:
        """Learning events, in one chain."""

    @property
    def people(self) -> People:
        """What else is known of one person."""

    @property
    def cancels(self) -> Cancels:
        """Which events were cancelled."""

    @property
    def suppressions(self) -> Suppressions:
        """What people have done already."""

    @property
    def experiments(self) -> Experiments:
        """Experiments, and who is in them."""

    @property
    def erasures(self) -> Erasures:
        """Who is being erased, and how far that is."""

    @property
    def lanes(self) -> Lanes:
        """The lanes' lasting state."""

    @property
    def starts(self) -> Starts:
        """Which push of a device and key was started last."""

    @property
    def hooks(self) -> Hooks:
        """What waits for a customer's own systems."""

    @property
    def keys(self) -> Keys:
        """API keys."""

    @property
    def audit(self) -> Audit:
        """Who did what."""

    @property
    def replicas(self) -> Replicas:
        """Who else runs."""

    @property
    def doubts(self) -> Doubts:
        """What speaks against this being the database that was worked on last."""

    @property
    def times(self) -> Times:
        """What is known of clocks."""

    async def secret(self, fresh: bytes) -> bytes:
        """The key of keyed hashes, the same for every replica and for ever: `fresh`, 32 random
        bytes, where there is none yet."""

    async def ping(self) -> None:
        """Raise `StoreUnavailable` unless the store can read and write now."""

    async def trial(self) -> None:
        """Write a row of 1 MiB and delete it: where `ping` works, this may not. Raises
        `StoreUnavailable`."""

    async def aclose(self) -> None:
        """Finish the open calls and close."""
