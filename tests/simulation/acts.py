"""The acts of a plan: what people do, and what goes wrong. A method each.

Owns the catalogue of faults. Every act can be called at any time, whatever acts came before it, so
that a plan may lose any of its acts and still be one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from tests.simulation.desk import Desk
from tests.simulation.gateways import Moment, Replica, settings_of
from tests.simulation.people import Apps, LearnInk, Strangers
from tests.simulation.plan import Act
from tests.simulation.vendors import Mood
from tests.simulation.wire_acts import WireActs

if TYPE_CHECKING:
    from tests.simulation.world import World


class Acts(WireActs):
    """See the module. Times are seconds."""

    def __init__(self, world: World, learnink: LearnInk, apps: Apps, strangers: Strangers) -> None:
        super().__init__(world)
        self._world = world
        self._learnink = learnink
        self._apps = apps
        self._strangers = strangers
        self._calm = False

    def do(self, act: Act) -> None:
        """Begin an act; it goes on by itself."""
        getattr(self, act.do)(**act.args)

    def calm(self) -> None:
        """The faults are over."""
        self._calm = True
        self.wires_are_calm()
        world = self._world
        world.services.calm()
        if world.disk.trouble is not None:
            self._mend()
        world.disk.calm()
        for replica in world.replicas:
            self._go_on(replica)
            self._put_right(replica)

    # --- people ---------------------------------------------------------------------------------

    def batch(
        self, event: str, users: list[int], after_s: float | None = None, **more: Any
    ) -> None:
        """LearnInk sends an event, now or so long after the faults are over. `more`: see
        `LearnInk.send`."""
        send = partial(self._learnink.send, event, users, **more)
        if after_s is None:
            self._world.spawn(send())
        else:
            self._world.spawn_later(self._world.plan.sizes.faults_end_s + after_s, send)

    def repeat(self, event: str, late_s: float = 0.0) -> None:
        """LearnInk sends an event once more, which was answered or is about to be."""
        self._world.spawn(self._learnink.repeat(event, late_s))

    def forge(self, user: int) -> None:
        """A stranger posts batches."""
        self._world.spawn(self._strangers.forge(f"forged_{user}", user))

    def steal(self, phone: int, thief: int) -> None:
        """A user tries to take, log out and erase another's phone."""
        self._world.spawn(self._strangers.steal(phone, thief))

    def register(
        self, phone: int, user: int, environment: str | None = None, new: str = ""
    ) -> None:
        """A user opens the app on a phone: the first time, again, with a new token, a new
        installation, or moved."""
        self._world.spawn(self._apps.register(phone, user, environment=environment, new=new))

    def log_out(self, phone: int) -> None:
        """The user of a phone logs out."""
        self._world.spawn(self._apps.log_out(phone))

    def erase(self, user: int) -> None:
        """A user is erased."""
        self._world.spawn(self._apps.erase(user))

    def uninstall(self, phone: int) -> None:
        """The app is removed: its address is dead."""
        self._apps.uninstall(phone)

    def switch_off(self, phone: int, seconds: float | None) -> None:
        """A phone is off for a while, or until all is settled. What its app does turns it on."""
        number = phone % len(self._apps.phones)
        self._world.handsets.switch_off(number)
        if seconds is not None:
            self._world.loop.call_later(seconds, self._world.handsets.switch_on, number)

    def deny(self, phone: int) -> None:
        """The owner of a phone wants no notifications of the app any more."""
        self._world.handsets.deny(phone % len(self._apps.phones))

    # --- processes ------------------------------------------------------------------------------

    def kill(self, relay: int = 0) -> None:
        """`kill -9`, now."""
        self._replica(relay).kill("kill")

    def kill_at_step(self, steps: int, relay: int = 0) -> None:
        """`kill -9` after so many callbacks more: at any await there is."""
        replica = self._replica(relay)
        if replica.life is not None:
            self._world.loop.kill_after(replica.life.process, steps, lambda: replica.kill("step"))

    def kill_at_write(self, writes: int, relay: int = 0) -> None:
        """`kill -9` as soon as so many groups of writes more are durable: between any two."""
        replica = self._replica(relay)
        if replica.life is not None:
            kill = partial(replica.kill, "write")
            self._world.disk.after_writes(replica.life.who, writes, kill)

    def kill_at(self, moment: Moment, after: float, relay: int = 0) -> None:
        """`kill -9` so many seconds after the process next comes to such a moment."""
        self._at(moment, relay, after, lambda: self.kill(relay))

    def stop_at(self, moment: Moment, after: float, seconds: float, relay: int = 0) -> None:
        """SIGSTOP so many seconds after the process next comes to such a moment."""
        self._at(moment, relay, after, lambda: self.stop(seconds, relay))

    def kill_often(self, every_s: float, times: int, relay: int = 0) -> None:
        """A crash loop: a kill every so many seconds."""
        for turn in range(times):
            self._later(turn * every_s, self._replica(relay).kill, "crash loop")

    def stop(self, seconds: float, relay: int = 0) -> None:
        """SIGSTOP, and SIGCONT later: the process stands still."""
        replica = self._replica(relay)
        if replica.life is not None:
            self._world.findings.quake("stop")
            self._world.loop.freeze(replica.life.process)
            self._later(seconds, self._go_on, replica)

    def drain(self, relay: int = 0) -> None:
        """SIGTERM: the process drains, and another one starts."""
        life = self._replica(relay).running
        if life is not None:
            life.finish()

    def drain_at(self, moment: Moment, after: float, relay: int = 0) -> None:
        """SIGTERM so many seconds after the process next comes to such a moment."""
        self._at(moment, relay, after, lambda: self.drain(relay))

    def reload(self, relay: int = 0) -> None:
        """SIGHUP: new transports, while pushes are on their way by the old ones."""
        life = self._replica(relay).running
        if life is not None:
            self._world.loop.create_task(
                life.relay.reload(settings_of(self._world.plan.sizes)),
                context=life.process.context.copy(),
            )

    def clock(self, by_s: float, seconds: float | None = None, relay: int = 0) -> None:
        """A wall clock is put wrong, and put right after some seconds, or when faults end."""
        replica = self._replica(relay)
        self._world.findings.clock_moved()
        replica.clock_off += by_s
        if seconds is not None:
            self._later(seconds, self._put_right, replica)

    # --- operators ------------------------------------------------------------------------------

    def hold(self, provider: str, seconds: float) -> None:
        """An operator pauses a lane, and resumes it after a while."""
        self._world.spawn(self._hold(provider, seconds))

    def release(self, provider: str) -> None:
        """An operator releases the prune brake of a lane."""
        self._command("release", lambda desk: desk.release(provider))

    def replay(self) -> None:
        """An operator queues all dead letters again."""
        self._command("replay", lambda desk: desk.replay())

    def cancel(self, event: str, told: int | None = None, corrected: bool = False) -> None:
        """An operator cancels an event, and perhaps corrects it. `told`: a relay that hears of it
        at once, as the one does whose door was asked."""
        self._world.spawn(self._cancel(event, told, corrected))

    def foreign_row(self, table: str, turn: int) -> None:
        """A later version, or nobody's hand, leaves a row behind that this one cannot read: of
        `queue`, `devices`, `events` (with a chunk) or `deliveries` (one that was taken)."""
        self._world.disk.spoil(table, turn, self._world.truth)

    def restore(self, seconds: float) -> None:
        """An operator exports the devices, and imports that file some time later: it says nothing
        new, and takes nothing back."""
        self._world.spawn(self._restore(seconds))

    # --- store and vendors ----------------------------------------------------------------------

    def store(self, trouble: Any, seconds: float, slower: float = 1.0) -> None:
        """The store fails, or is slow, for a while."""
        disk = self._world.disk
        self._world.findings.quake(f"store {trouble}")
        disk.trouble, disk.slower = trouble, slower
        self._later(seconds, self._mend)

    def mood(
        self,
        verdict: str,
        seconds: float | None,
        provider: str | None = None,
        part: str | None = None,
        phone: int | None = None,
        **facts: Any,
    ) -> None:
        """A vendor treats some pushes in its own way for a while; `seconds` None: for good."""
        mood = Mood(verdict, provider, part, phone, stays=seconds is None, facts=facts)
        self._world.services.moods.append(mood)
        if seconds is not None:
            self._later(seconds, self._cheer_up, mood)

    # --- inside ---------------------------------------------------------------------------------

    def _later(self, seconds: float, do: Any, *args: Any) -> None:
        def due() -> None:
            if not self._calm:
                do(*args)

        self._world.loop.call_later(seconds, due)

    def _at(self, moment: Moment, relay: int, after: float, do: Callable[[], None]) -> None:
        def happen() -> None:
            self._world.in_world(self._later, after, do)

        self._replica(relay).waiting.setdefault(moment, []).append(happen)

    def _replica(self, number: int) -> Replica:
        replicas: list[Replica] = self._world.replicas
        return replicas[number % len(replicas)]

    def _go_on(self, replica: Replica) -> None:
        life = replica.life
        if life is not None and life.process.frozen:
            self._world.findings.quake("stop ends")
            self._world.findings.thawed_at = self._world.truth.now
            self._world.loop.thaw(life.process)

    def _put_right(self, replica: Replica) -> None:
        if replica.clock_off:
            self._world.findings.clock_moved()
            replica.clock_off = 0.0

    def _mend(self) -> None:
        self._world.findings.quake("store ends")
        self._world.findings.store_mended_at = self._world.truth.now
        self._world.disk.trouble = None

    async def _hold(self, provider: str, seconds: float) -> None:
        await Desk(self._world, "hold").run(lambda desk: desk.pause(provider))
        await asyncio.sleep(seconds)
        await Desk(self._world, "resume").run(lambda desk: desk.resume(provider))

    async def _cancel(self, event: str, told: int | None, corrected: bool) -> None:
        cancel = partial(Desk.cancel, event_id=event, corrected=corrected)
        await Desk(self._world, "cancel").run(cancel)
        batch = self._world.truth.batches.get(event)
        if told is None or batch is None or batch.cancelled_at is None:
            return
        life = self._replica(told).running
        if life is not None:
            self._world.loop.call_soon(
                life.relay.cancelled, event, context=life.process.context.copy()
            )

    async def _restore(self, seconds: float) -> None:
        records: list[Mapping[str, Any]] = []
        await Desk(self._world, "export").run(lambda desk: desk.export(records))
        await asyncio.sleep(seconds)
        await Desk(self._world, "import").run(lambda desk: desk.restore(records))

    def _command(self, name: str, what: Callable[[Desk], Awaitable[object]]) -> None:
        self._world.spawn(Desk(self._world, name).run(what))

    def _cheer_up(self, mood: Mood) -> None:
        if mood in self._world.services.moods:
            self._world.services.moods.remove(mood)
