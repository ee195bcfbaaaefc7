"""What is wrong with a dataset, before days of training on it are lost.

python3 -m data.doctor market --root /path/to/Market-1501-v15.09.15
python3 -m data.doctor csv --root /path/to/folder --sheets sheets --workers 8
python3 -m data.doctor msmt --quick --json
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    # Not above: processes that look at pictures read this file again, and need nothing of what the command does.
    from common.command import end_on_termination, exit_status
    from data.doctor.command import main

    end_on_termination()
    sys.exit(exit_status(main))
