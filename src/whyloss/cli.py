"""The command line's beginning and end: what goes wrong becomes one sentence and an exit code, never a traceback.

Knows which mistakes are the user's. The commands and their words are in commands.py."""

import os
import sys
from collections.abc import Sequence

from whyloss.advise.finding import InputError

# What the extra brings, under the names that Python imports.
EXTRAS = frozenset(
    (
        "altair",
        "cleanlab",
        "cyclopts",
        "jinja2",
        "joblib",
        "pandas",
        "pyarrow",
        "rich",
        "scipy",
        "sklearn",
        "vl_convert",
    )
)
INSTALL = "pip install 'whyloss[advise]'"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 if all went well, 2 for input that cannot be used, 130 when interrupted."""
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    try:
        _run(tokens)
        sys.stdout.flush()
    except InputError as error:
        return _refuse(str(error))
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in EXTRAS:
            raise  # ours, and therefore a fault that wants its traceback
        return _refuse(f"The package {error.name} is missing. All that the commands need comes with: {INSTALL}")
    except KeyboardInterrupt as stop:  # a command that was far enough says itself what is kept
        kept = tokens[:1] in (["advise"], ["claims"])
        again = " Finished trials are kept: the same command goes on from there." if kept else ""
        print(f"\nwhyloss: {str(stop) or f'Interrupted.{again}'}", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of a pipe has seen enough, as in `whyloss list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _run(tokens: list[str]) -> None:
    from cyclopts import CycloptsError

    from whyloss.commands import app

    try:
        app(tokens, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        command = [token for token in tokens[:1] if token in ("advise", "bench", "claims", "list", "show")]
        raise InputError(f"{error} See `{' '.join(['whyloss', *command, '--help'])}`.") from None


def _refuse(message: str) -> int:
    print(f"whyloss: {message}", file=sys.stderr)
    return 2
