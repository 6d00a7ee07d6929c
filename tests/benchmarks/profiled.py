"""`inkpush serve` under a sampling profiler: `python -m tests.benchmarks.profiled FILE --config F`.

A signal comes after every 2 ms of CPU time. What each thread spent since the last one, by the
kernel's account, is put down to the place where it stands: so threads that wait weigh nothing,
and code in C weighs what it took. Nothing is traced: it all becomes slower by a few percent.
Writes FILE at the end, and when it gets SIGUSR1 starts anew.
"""

from __future__ import annotations

import dis
import json
import os
import signal
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from config.settings import Settings
from gateway.app import serve
from gateway.app.settings import load
from tests.benchmarks.stages import stage_of

_EVERY_S = 0.002
_RESUME = dis.opmap["RESUME"]
_PLACES = 60
NOWHERE = "unknown"


class Sampler:
    """Puts CPU time down to stages, files and functions."""

    def __init__(self) -> None:
        self._seen: dict[int, float] = {}
        self._stages: defaultdict[tuple[str, str], float] = defaultdict(float)
        self._places: defaultdict[tuple[str, str], float] = defaultdict(float)
        self._samples = 0

    def start(self) -> None:
        """Begin; must be called from the main thread."""
        signal.signal(signal.SIGPROF, self._sample)
        signal.siginterrupt(signal.SIGPROF, False)
        signal.setitimer(signal.ITIMER_PROF, _EVERY_S, _EVERY_S)

    def stop(self) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)

    def clear(self) -> None:
        """Forget what was seen so far."""
        self._stages.clear()
        self._places.clear()
        self._samples = 0

    def as_json(self) -> dict[str, Any]:
        """CPU seconds by (thread, stage) and by (stage, place)."""
        return {
            "samples": self._samples,
            "stages": _most(self._stages),
            "places": _most(self._places)[:_PLACES],
        }

    def _sample(self, _number: int, top: FrameType | None) -> None:
        self._samples += 1
        own = threading.get_ident()
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        for ident, frame in sys._current_frames().items():
            if ident not in names:
                continue
            clock = time.pthread_getcpuclockid(ident)
            now = time.clock_gettime(clock)
            spent = now - self._seen.get(ident, now)
            self._seen[ident] = now
            if spent <= 0:
                continue
            stage, place = _standing(top if ident == own else frame)
            # threads of a kind together: sqlite-reader-0 and -1
            thread = names[ident].rstrip("-0123456789_")
            self._stages[thread, stage] += spent
            self._places[stage, place] += spent


def _most(spent: Mapping[tuple[str, str], float]) -> list[tuple[str, str, float]]:
    """The largest first."""
    rows = [(*key, seconds) for key, seconds in spent.items()]
    return sorted(rows, key=lambda row: -row[2])


def _standing(frame: FrameType | None) -> tuple[str, str]:
    """The stage of the innermost frame that has one, and where the innermost frame is."""
    if frame is not None and frame.f_lasti in _beginnings(frame.f_code):
        # It has only just begun: the time went by before, in whoever called it.
        frame = frame.f_back
    place = NOWHERE
    while frame is not None:
        code = frame.f_code
        if place == NOWHERE:
            place = f"{'/'.join(Path(code.co_filename).parts[-3:])}:{code.co_name}"
        stage = stage_of(code.co_filename)
        if stage is not None:
            return stage, place
        frame = frame.f_back
    return "event loop, with its TLS and sockets", place


@cache
def _beginnings(code: CodeType) -> frozenset[int]:
    """Where a function begins, or goes on after it waited."""
    return frozenset(
        instruction.offset
        for instruction in dis.get_instructions(code)
        if instruction.opcode == _RESUME
    )


def main() -> int:
    """Serve, and write what was seen."""
    file, config = Path(sys.argv[1]), Path(sys.argv[3])

    def reload() -> Settings:
        return load(config, os.environ)

    sampler = Sampler()
    signal.signal(signal.SIGUSR1, lambda _number, _frame: sampler.clear())
    sampler.start()
    try:
        return serve(reload(), reload=reload)
    finally:
        sampler.stop()
        file.write_text(json.dumps(sampler.as_json()))


if __name__ == "__main__":
    sys.exit(main())
