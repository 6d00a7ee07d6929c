"""The command line: `inkpush`. Reports what was done; knows nothing of how.

One module per group. A command reads its options, calls `gateway.app` or a port of the store, and
shows the answer, as a table or with `--json` as one line. Exit status: 0 done, 1 failed, 2 wrong
use or a configuration that cannot work.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from config.settings import SettingsError
from gateway.cli.root import inkpush
from gateway.errors import ConfigurationError, GatewayError

DONE, FAILED, WRONG_USE = 0, 1, 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status. No user's mistake shows a stack trace."""
    try:
        status = inkpush.main(args=argv, prog_name="inkpush", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("Stopped.", err=True)
        return FAILED
    except (SettingsError, ConfigurationError) as error:
        for problem in error.problems:
            click.echo(problem, err=True)
        return WRONG_USE
    except BrokenPipeError:
        # the reader of the output is gone; make sure that nothing is flushed at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except UnicodeEncodeError:
        # bytes of an argument that are no UTF-8 are halves of characters to Python
        click.echo("inkpush: an argument is not UTF-8 text", err=True)
        return WRONG_USE
    except GatewayError as error:
        click.echo(f"inkpush: {error}", err=True)
        return FAILED
    except OSError as error:
        click.echo(f"inkpush: {_in_words(error)}", err=True)
        return FAILED
    return status if isinstance(status, int) else DONE


def _in_words(error: OSError) -> str:
    """What the system says, without its number: the file, and what is wrong with it."""
    told = error.strerror or str(error) or type(error).__name__
    return f"{error.filename}: {told}" if error.filename else told
