"""Print docs/protocols.md, or the commands that leave one dataset out after the other.

python3 -m retrieval.protocols > docs/protocols.md
python3 -m retrieval.protocols --leave-one-out market duke cuhk msmt
"""

from __future__ import annotations

import argparse
import sys

from common.command import exit_status
from common.errors import UserError
from retrieval.protocols.leave_one_out import LeaveOneOut
from retrieval.protocols.table import document


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m retrieval.protocols",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--leave-one-out", nargs="+", metavar="DATASET", help="print commands for these instead")
    parser.add_argument("--configuration", metavar="FILE", help="what they train (configs/generalize.yml)")
    parser.add_argument("--devices", metavar="LIST", help="where they train (0)")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    options = _parser().parse_args(arguments)
    given = {name: value for name in ("configuration", "devices") if (value := getattr(options, name)) is not None}
    if options.leave_one_out is None:
        if given:
            raise UserError(f"--{next(iter(given))} is for the commands that --leave-one-out prints: give that too")
        print(document(), end="")
    else:
        print("\n".join(LeaveOneOut(tuple(options.leave_one_out)).commands(**given)))
    return 0


if __name__ == "__main__":
    sys.exit(exit_status(main))
