"""From the labels that co-parsing gives to cells to the parts of a body, by where in the pictures labels lie.

A label that is often at the border is background. The others are ordered by their mean row, from head to foot, and cut
into parts. Only counts of labels by row and by column are needed, so nothing loops over cells.
"""

from __future__ import annotations

import torch
from torch import Tensor

from modeling.parsing.options import Rule


def border_rows(height: int) -> list[int]:
    """Rows that see background: of 64 these are 0, 3, 60 and 63; of other heights those at the same shares of it.

    In a low map they may coincide; then a row counts twice, so that the threshold keeps its meaning.
    """
    near = (3 * height + 32) // 64
    return [0, near, height - 1 - near, height - 1]


def label_parts(volume: Tensor, parts: int, rule: Rule) -> Tensor | None:
    """Parts of the cells of N pictures.

    Label l is background when it has more than N·w/2 cells in the border rows (an eighth of them, were they full), or
    more than N·h/3 in the first and last column. For the others let m_l be the mean row, a = min m and R = max m − a.

        structure:  head where m_l < a + R/6,  torso where m_l < a + 2R/3,  legs elsewhere; always three parts
        mean:       labels by m_l in `parts` groups whose numbers of labels differ by at most one

    Args:
        volume: `(N, h, w)` int64 labels on the CPU, from 0.

    Returns:
        `(N, h, w)` uint8, 0 for background, or None where labels do not tell parts apart: fewer than `parts` are left,
        or all have the same mean row (R = 0, so that there is no head or foot). With "structure" and enough labels the
        torso may still be empty, when no label's mean lies between the cuts.
    """
    pictures, height, width = volume.shape
    labels = int(volume.max()) + 1
    by_row, by_column = _counts(volume, labels, 1), _counts(volume, labels, 2)
    at_rows, at_columns = by_row[border_rows(height)].sum(0), by_column[[0, width - 1]].sum(0)
    background = (2 * at_rows > pictures * width) | (3 * at_columns > pictures * height)
    cells = by_row.sum(0)
    found = torch.nonzero((cells > 0) & ~background).flatten()
    if len(found) < parts:
        return None
    rows = torch.arange(height, dtype=torch.float64) @ by_row[:, found].double() / cells[found]
    top, extent = rows.min(), rows.max() - rows.min()
    if extent == 0 and parts > 1:
        return None
    if rule == "structure":
        numbers = 1 + (rows >= top + extent / 6).int() + (rows >= top + 2 * extent / 3).int()
    else:
        rank = torch.argsort(torch.argsort(rows, stable=True))
        numbers = 1 + rank * parts // len(found)
    table = torch.zeros(labels, dtype=torch.uint8)
    table[found] = numbers.to(torch.uint8)
    return table[volume]


def _counts(volume: Tensor, labels: int, dim: int) -> Tensor:
    """`(size of dim, labels)`: how many cells of each label lie in each row (`dim` 1) or column (2)."""
    size = volume.shape[dim]
    shape = [1, 1, 1]
    shape[dim] = size
    place = torch.arange(size).view(shape)
    return torch.bincount((place * labels + volume).flatten(), minlength=size * labels).view(size, labels)
