"""Experiments, on every backend."""

from __future__ import annotations

from gateway.core.drawn import Drawn, Kept, Stage, What
from gateway.core.hashes import person_words
from tests.kit.build import NOW, item
from tests.kit.stores import SECRET, Handle, record

KEY = b"k" * 32


def kept(stage: Stage = Stage.RUNNING, name: str = "spring") -> Kept:
    return Kept(name, stage, "{}", KEY, NOW - 99, NOW, NOW + 99 * 86_400)


async def test_smoke(handle: Handle) -> None:
    e = handle.store.experiments
    assert await e.begin(kept(Stage.DRY))
    assert await e.begin(kept())
    assert not await e.begin(kept())
    (word, _) = person_words(SECRET, "mary", None)
    one = Drawn(
        What.HELD,
        Stage.RUNNING,
        "spring",
        word,
        "msg_1",
        item(),
        NOW,
        NOW + 9,
        NOW,
        "a",
        "p",
        "s",
        keeps=True,
    )
    await handle.journal.record([record("msg_1")], [], drawn=[one])
    print(await e.met([word], [1]))
    assert not await e.due(now=NOW, limit=9)
    print(await e.due(now=NOW + 9, limit=9))
    print(await e.tally("spring"))
    assert await e.end("spring", at=NOW + 2, reason="why")
    (held,) = await e.due(now=NOW + 2, limit=9)
    await e.exempt([word], is_exempt=True, at=NOW + 1)
    assert await e.is_exempt([word, ""])
    await e.exempt([word], is_exempt=False, at=NOW + 1)
    await e.sent(held)
    await e.forget("spring")
    print(await e.all(), await e.tally("spring"))
