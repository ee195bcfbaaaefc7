"""Print docs/protocols.md.

python3 -m retrieval.protocols > docs/protocols.md
"""

from __future__ import annotations

import argparse
import sys

from common.command import exit_status
from retrieval.protocols.table import document


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m retrieval.protocols",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    _parser().parse_args(arguments)
    print(document(), end="")
    return 0


if __name__ == "__main__":
    sys.exit(exit_status(main))
