"""Whatever apps did, in whatever order: an import changes what it is newer than, and no more.

Beside the registry there is a model, which knows of each installation and each address when
something was last said of it, and of each person and name when it was last erased.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.model import Device, Registration, UserRef
from gateway.ports import Registry
from gateway.store.sqlite import SqliteDatabase, SqliteStore
from tests.kit.build import NOW
from tests.kit.engines import LoopEngine, in_memory
from tests.kit.stores import fresh_secret, registration

PHONES, ADDRESSES, PEOPLE = 3, 4, 3


@dataclass(frozen=True)
class Step:
    """Something that an app, a person or a file does. `age`: of how many steps ago a line tells;
    None: it has no time."""

    kind: Literal["register", "forget", "erase", "import", "force"]
    phone: int
    address: int
    person: int
    old_address: int | None
    age: int | None


STEPS = st.lists(
    st.builds(
        Step,
        st.sampled_from(["register", "register", "forget", "erase", "import", "import", "force"]),
        st.integers(1, PHONES),
        st.integers(1, ADDRESSES),
        st.integers(1, PEOPLE),
        st.one_of(st.none(), st.none(), st.integers(1, ADDRESSES)),
        st.one_of(st.none(), st.integers(0, 8)),
    ),
    min_size=1,
    max_size=14,
)


@dataclass
class Model:
    """When something was last said of a name, and when it was last erased."""

    said: dict[str, float] = field(default_factory=dict)
    erased: dict[str, float] = field(default_factory=dict)

    def forbids(self, asked: Registration, rows: list[Device], *, force: bool) -> bool:
        seen_at = asked.seen_at or 0.0
        names = [asked.installation_id, asked.address]
        names += [row.address for row in rows if row.address == asked.old_address]
        times = [] if force else [self.said[name] for name in names if name in self.said]
        names = [asked.installation_id, asked.address, str(asked.user_id)]
        times += [self.erased[name] for name in names if name in self.erased]
        return any(seen_at == 0 or seen_at <= at for at in times)


def names_of(rows: list[Device], asked: Registration) -> Iterator[str]:
    """What a registration says something of."""
    yield asked.installation_id
    mine = {asked.address, asked.old_address} - {None}
    yield from (one for one in mine if one is not None)
    for row in rows:
        if row.installation_id == asked.installation_id or row.address in mine:
            yield row.installation_id
            yield row.address


async def devices(registry: Registry) -> list[Device]:
    return [device async for page in registry.export() for device in page]


async def walk(steps: list[Step]) -> None:
    database = SqliteDatabase(LoopEngine(in_memory()))
    store = SqliteStore(database, max_per_user=20, fresh=fresh_secret)
    registry, model = store.registry, Model()
    for number, step in enumerate(steps, start=1):
        now = NOW + 10 * number
        before = await devices(registry)
        seen_at = None if step.kind == "register" else 0.0
        if seen_at is not None and step.age is not None:
            seen_at = now - 10 * step.age
        asked = registration(
            f"phone-{step.phone}",
            f"address-{step.address}",
            user_id=f"person-{step.person}",
            old_address=None if step.old_address is None else f"address-{step.old_address}",
            seen_at=seen_at,
        )
        match step.kind:
            case "register":
                await registry.register(asked, proven=None, now=now)
                model.said |= dict.fromkeys(names_of(before, asked), now)
            case "forget":
                await registry.forget(asked.installation_id, proven=None, now=now)
                for row in before:
                    if row.installation_id == asked.installation_id:
                        model.said |= dict.fromkeys([row.installation_id, row.address], now)
            case "erase":
                await registry.erase(UserRef(asked.user_id), now=now)
                model.erased[str(asked.user_id)] = now
                for row in before:
                    if row.user_id == asked.user_id:
                        names = [row.installation_id, row.address]
                        model.said |= dict.fromkeys(names, now)
                        model.erased |= dict.fromkeys(names, now)
            case "import" | "force":
                assert seen_at is not None
                force = step.kind == "force"
                equal = any(
                    (row.installation_id, row.address, row.user_id)
                    == (asked.installation_id, asked.address, asked.user_id)
                    for row in before
                )
                forbidden = model.forbids(asked, before, force=force)
                done = await registry.register_many([asked], now=now, force=force)
                after = await devices(registry)
                if equal or forbidden:
                    assert after == before
                    assert done.newer == (() if equal else (0,))
                    continue
                assert done.newer == ()
                (row,) = [one for one in after if one.installation_id == asked.installation_id]
                assert (row.address, row.user_id) == (asked.address, asked.user_id)
                if force:
                    break  # what is known from here on is what a person wanted
                for name in names_of(before, asked):
                    model.said[name] = max(seen_at, model.said.get(name, seen_at))
    await store.aclose()


@settings(max_examples=300, deadline=None)
@given(STEPS)
def test_an_import_changes_what_it_is_newer_than_and_no_more(steps: list[Step]) -> None:
    asyncio.run(walk(steps))
