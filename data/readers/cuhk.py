"""CUHK03 in the new protocol's folders: `root/{labeled,detected}/` with Market-1501's layout inside.

The boxes of `labeled` were drawn by hand, those of `detected` by a detector; papers name the one they use.
"""

from __future__ import annotations

from pathlib import Path

from common.errors import unknown_name
from data.readers.listing import require_folder, wrong_folder
from data.readers.market import is_layout, read_layout
from data.samples import Counts, Dataset

PUBLISHED = {
    "labeled": {"train": Counts(7_368, 767), "query": Counts(1_400, 700), "gallery": Counts(5_328, 700)},
    "detected": {"train": Counts(7_365, 767), "query": Counts(1_400, 700), "gallery": Counts(5_332, 700)},
}


def read(root: Path, name: str, *, variant: str = "detected") -> Dataset:
    """Read one variant.

    Args:
        variant: "labeled" or "detected".

    Raises:
        UserError: the variant is unknown, or its folder is not there (naming the root that would work).
    """
    if variant not in PUBLISHED:
        raise unknown_name("variant of CUHK03", str(variant), PUBLISHED)
    expected = f"{variant}/ with bounding_box_train/, query/ and bounding_box_test/"
    require_folder(root, name, expected)
    if not is_layout(root / variant):
        raise wrong_folder(root, name, expected, lambda folder: is_layout(folder / variant))
    return read_layout(root / variant, name, PUBLISHED[variant], (f"CUHK03, {variant} boxes",), named="cuhk03-np")
