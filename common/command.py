"""How a command ends: a user's mistake is one sentence and status 1, Ctrl-C is 130, a reader who left is no mistake."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
from collections.abc import Callable

from common.errors import UserError

_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def end_on_termination() -> None:
    """Let SIGTERM end this process as an exception does, so that whatever cleans up behind itself still does."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def exit_status(main: Callable[[], int], speaker: str = "") -> int:
    """Run `main` and return the status to exit with.

    Args:
        speaker: what to put before a sentence, where several processes may speak.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # As stderr does: names of files need not be text, and what is said of them need not fit the terminal.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        return main()
    except UserError as error:
        print(f"{speaker}error: {error}", file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr, flush=True)
        return 128 + signal.SIGINT
    except OSError as error:
        if isinstance(error, BrokenPipeError):  # whoever read the output (head, less) has left
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123  # until the process ends
            return 128 + signal.SIGPIPE
        if error.errno not in _DISK:
            raise
        where = f" ({error.filename})" if error.filename else ""
        print(f"{speaker}error: cannot write: {error.strerror}{where}; free some space", file=sys.stderr, flush=True)
    return 1
