"""What is printed never ends a command because of the letters in it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import os, sys
from {module} import {name}
def main():
    print(os.fsdecode(b"caf\\xe9.jpg"), chr(0x2212))
    return 7
sys.exit({name}(main))
"""


@pytest.mark.parametrize("door", ["common.command exit_status", "engine.launch run_door"])
@pytest.mark.parametrize(
    ("encoding", "expected"),
    [("utf-8:strict", "caf\\udce9.jpg \N{MINUS SIGN}"), ("ascii", "caf\\udce9.jpg \\u2212")],
)
def test_names_that_are_no_text(door: str, encoding: str, expected: str) -> None:
    module, name = door.split()
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(module=module, name=name)],
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": encoding, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert (done.stdout.decode(), done.stderr, done.returncode) == (f"{expected}\n", b"", 7)
