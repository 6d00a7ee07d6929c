"""The world of a history: everything outside of the gateways, and the course it takes.

Owns how a history goes: the acts of its plan with their faults, then a quiet phase in which all
must settle. Safety is asked at every step, liveness once the faults are over.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from typing import Any

from gateway.app.vendors import VENDORS
from providers.contract import PushProvider
from tests.simulation.acts import Acts
from tests.simulation.chance import Chance
from tests.simulation.disk import Disk
from tests.simulation.gateways import Household, Life, Replica
from tests.simulation.handsets import Handsets
from tests.simulation.invariants.corrections import CorrectionInvariants
from tests.simulation.invariants.endings import EndInvariants
from tests.simulation.invariants.findings import Findings, Violation
from tests.simulation.invariants.order import OrderInvariants
from tests.simulation.invariants.pushes import PushInvariants
from tests.simulation.invariants.rows import RowInvariants
from tests.simulation.loop import Loop, Process
from tests.simulation.native import Wires
from tests.simulation.people import Apps, Callers, LearnInk, Strangers, phones
from tests.simulation.plan import Plan
from tests.simulation.receipts import Tellers
from tests.simulation.trace import Trace
from tests.simulation.truth import Truth
from tests.simulation.vendors import PushServices, ScriptedTransport

_LOOK_S = 0.5
"""How often the quiet phase looks whether all has settled."""
ALONE_S = 150.0
"""After this time without faults nothing may wait that its vendor would take."""


class World:
    """See the module. `run` goes through the history once."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.chance = Chance(plan.seed)
        self.loop = Loop(self.chance.stream("lots"))  # type: ignore[abstract]
        self.trace = Trace(self.loop.time)
        self.truth = Truth(self.loop.time)
        self.findings = Findings(plan.sizes, self.truth, self.trace)
        self.disk = Disk(self.chance, self.trace, plan.sizes.disk_s)
        self.disk.watch(RowInvariants(self.findings, self.disk.connection))
        self.household = Household(self.loop.time)
        self.handsets = Handsets(self.findings, self.chance, is_prompt=plan.tier == "scripted")
        self.services = PushServices(plan, self.chance, self.truth, self.handsets)
        corrections = CorrectionInvariants(self.findings, self.disk.connection)
        self.findings.meet = corrections.meet
        order = OrderInvariants(self.findings, self.disk.connection)
        self.pushes = PushInvariants(self.findings, corrections, order)
        self.ends = EndInvariants(self.findings, self.disk.connection, self.services.at_fault)
        self.replicas: list[Replica] = []
        self.context = contextvars.copy_context()
        self.wires = Wires(self) if plan.tier == "native" else None
        self._busy: dict[asyncio.Task[Any], None] = {}
        self._begins_until = 0.0

    # --- what others ask of it ------------------------------------------------------------------

    @property
    def violation(self) -> Violation | None:
        return self.findings.violation

    def in_world(self, do: Callable[..., Any], *args: Any) -> None:
        """Do something soon that no process' death can stop."""
        self.loop.call_soon(do, *args, context=self.context)

    def spawn(self, doing: Any) -> None:
        """Somebody does something that takes time; the history waits for it."""
        task = self.loop.create_task(doing, context=self.context.copy())
        self._busy[task] = None
        task.add_done_callback(self._done)

    def spawn_later(self, at: float, do: Callable[[], Awaitable[None]]) -> None:
        """The same, at a time of its own."""
        self._begins_until = max(self._begins_until, at)

        async def wait() -> None:
            await asyncio.sleep(max(0.0, at - self.loop.time()))
            await do()

        self.spawn(wait())

    def transport(self, provider: str, who: str) -> PushProvider:
        """The way of one process to a vendor."""
        lives = (replica.life for replica in self.replicas)
        life = next(life for life in lives if life is not None and life.who == who)
        wall = life.clocks().wall
        if self.wires is not None:
            return self.wires.transport(provider, who, wall)
        part_of = VENDORS[provider].part_of
        return ScriptedTransport(self.services, self.plan, provider, who, part_of, wall)

    def died(self, life: Life) -> None:
        """A process is gone: what was accepted must still be there."""
        if self.wires is not None:
            self.wires.network.died(life.process)
        self.ends.accepted_is_kept()

    # --- the course -----------------------------------------------------------------------------

    def run(self) -> None:
        """Go through the history, to its end or its first violation."""
        self.loop.on_fault = self._fault
        try:
            self.loop.run(self._course(), until=lambda: self.findings.violation is not None)
            if self.wires is not None and self.violation is not None:
                self.wires.tell()
        finally:
            self.findings.is_over = True
            self.loop.end()
            self.disk.close()

    async def _course(self) -> None:
        sizes = self.plan.sizes
        callers = Callers(self)
        learnink = LearnInk(self, callers)
        apps = Apps(self, callers, phones(sizes.users * 2))
        tellers = self.handsets.tellers = Tellers(self, callers)
        acts = Acts(self, learnink, apps, Strangers(self, callers, apps))
        for number in range(sizes.relays):
            self.replicas.append(Replica(self, number))
            self.replicas[-1].start()
        for act in sorted(self.plan.acts, key=lambda act: act.at):
            await asyncio.sleep(max(0.0, act.at - self.loop.time()))
            self.trace.add("world", act.do, *act.args.values())
            acts.do(act)
        await asyncio.sleep(max(0.0, sizes.faults_end_s - self.loop.time()))
        acts.calm()
        self.trace.add("world", "is quiet")
        await self._settle(tellers)

    async def _settle(self, tellers: Tellers) -> None:
        began = self.loop.time()
        looked = False
        while True:
            await asyncio.sleep(_LOOK_S)
            now = self.loop.time()
            if not self._busy and not self.ends.queued:
                break
            if not looked and now > began + ALONE_S:
                looked = True
                self.ends.alone()
            deadlines = [batch.deadline for batch in self.truth.batches.values()]
            last = max(deadlines, default=began)
            if now > max(last, self._begins_until) + self.plan.sizes.lease_s + 90.0:
                self.findings.broken("it_settles", f"{self.ends.queued} chunks are queued")
        if self.wires is not None:
            await self.wires.rest()
        tellers.is_over = True
        self.handsets.wake_all()
        self.ends.settled()
        tellers.settled()

    def _done(self, task: asyncio.Task[Any]) -> None:
        del self._busy[task]
        task.result()

    def _fault(self, owner: Process | None, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if owner is None:
            raise error if error is not None else AssertionError(context["message"])
        self.findings.broken("it_lives", f"{owner}: {context['message']}: {error!r}")
