"""The packages a door needs, found even when the project's virtual environment is not active."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = ROOT / ".venv" / "bin" / "python"


def require_packages(*names: str) -> None:
    """Go on when `names` can be imported; else start this command again with the project's `.venv`, or say how to.

    Called by a door before its other imports.
    """
    # Threads that have nothing to do shall sleep: spinning, they take the time of whatever else runs on the machine,
    # the loader's processes first of all. OpenMP reads this when torch loads it.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # The packages take seconds to import; Ctrl-C in that time shall end the command, not print where it was.
    if Path(sys.argv[0]).suffix == ".py" and Path(sys.argv[0]).resolve().parent == ROOT:
        signal.signal(signal.SIGINT, lambda *_: sys.exit(128 + signal.SIGINT))
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if not missing:
        return
    if PYTHON.exists() and Path(sys.prefix) != PYTHON.parent.parent:
        os.execv(PYTHON, [str(PYTHON), *sys.orig_argv[1:]])
    sys.exit(
        f"error: the package '{missing[0]}' is not installed; run `make setup` in {ROOT} (it makes .venv there),"
        f" or `{sys.executable} -m pip install -r {ROOT / 'requirements.txt'}`"
    )


def require_packages_as_module(*names: str) -> None:
    """The same for `python3 -m room.module`, called by the room's `__init__.py`; an ordinary import is let through."""
    if sys.argv[0] == "-m":  # what it holds while Python looks for the module to run
        signal.signal(signal.SIGINT, lambda *_: sys.exit(128 + signal.SIGINT))
        require_packages(*names)
