"""For every picture another one, whose joints it gets when a control asks for wrong ones."""

from __future__ import annotations

import numpy as np

from common.errors import UserError
from data.samples import Ints


def partners(count: int, seed: int) -> Ints:
    """`(N,)` a permutation of the rows in which no row stays where it is, the same for the same numbers.

    Raises:
        UserError: there is one row only.
    """
    if count < 2:
        raise UserError(f"the joints of {count} picture(s) cannot be shuffled; set data.poses.shuffled=false")
    # One round trip through all rows: each gets the next one's.
    order = np.random.default_rng((seed, count)).permutation(count)
    found = np.empty(count, np.int64)
    found[order] = np.roll(order, -1)
    return found
