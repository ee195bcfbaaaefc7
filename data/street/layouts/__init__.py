"""How a street is laid out on disk: one file a layout. A new one is its file and a line in `LAYOUTS`."""

from __future__ import annotations

from common.errors import unknown_name
from data.street.layouts import ltcc, market, msmt, occluded, prcc
from data.street.layouts.layout import GALLERY, QUERY, SPLITS, TRAIN, VALIDATION, Layout, Place

__all__ = ["GALLERY", "LAYOUTS", "QUERY", "SPLITS", "TRAIN", "VALIDATION", "Layout", "Place", "layout_of"]

LAYOUTS: dict[str, Layout] = {
    layout.name: layout for layout in (market.LAYOUT, ltcc.LAYOUT, prcc.LAYOUT, occluded.LAYOUT, msmt.LAYOUT)
}


def layout_of(name: str) -> Layout:
    """The layout of that name; raises `UserError` with the closest name otherwise."""
    try:
        return LAYOUTS[name]
    except KeyError:
        raise unknown_name("layout", name, LAYOUTS) from None
