"""Running one command: its exit status, and what a person sees when it fails."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from config.settings import SettingsError
from gateway.cli.root import inkpush
from gateway.errors import ConfigurationError, GatewayError

DONE, FAILED, WRONG_USE = 0, 1, 2


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command with these arguments (None: those of the process), and return its exit
    status. No user's mistake shows a stack trace."""
    try:
        status = inkpush.main(arguments, prog_name="inkpush", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        raise KeyboardInterrupt from None
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
