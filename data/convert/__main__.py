"""Write a dataset in another layout: CACE-Net's partitions, a table of one's own, or Market-1501's folders.

python3 -m data.convert market OUT --root /path/to/Market-1501-v15.09.15
python3 -m data.convert partitions OUT --root /path/to/partitions --to csv
python3 -m data.convert ltcc OUT --to market --copy
"""

from __future__ import annotations

import sys

from common.command import end_on_termination, exit_status
from data.convert.command import main

if __name__ == "__main__":
    end_on_termination()
    sys.exit(exit_status(main))
