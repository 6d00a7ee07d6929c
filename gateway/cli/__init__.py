"""The command line: `inkpush`. Reports what was done; knows nothing of how.

One module per group. A command reads its options, calls `gateway.app` or a port of the store, and
shows the answer, as a table or with `--json` as one line. Exit status: 0 done, 1 failed, 2 wrong
use or a configuration that cannot work.

Nothing is loaded here but what takes signals: the rest takes most of a second.
"""

from __future__ import annotations

import sys

from gateway import signals


def main() -> int:
    """Run the command of this process and return its exit status."""
    signals.remember()
    try:
        from gateway.cli.running import run

        return run()
    except KeyboardInterrupt:
        try:  # noqa: SIM105  # contextlib would have to be loaded first
            sys.stderr.write("Stopped.\n")
        except OSError:
            pass  # the terminal is gone
        return 1
    finally:
        signals.ignore()
