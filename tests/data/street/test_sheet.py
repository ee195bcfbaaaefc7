"""Contact sheets: every one can be drawn, and shows what it says."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from common.errors import UserError
from data.street.config import StreetConfig
from data.street.drawing.picture import Drawn
from data.street.sheet import SHEETS, contact_sheet, painted_parts, with_joints
from data.street.truth import COLOURS

CONFIG = StreetConfig(identities=3, cameras=2, shots=2, height=32, width=16)


@pytest.mark.parametrize("about", SHEETS)
def test_every_sheet_is_drawn(about: str) -> None:
    sheet = contact_sheet(CONFIG, about)
    assert sheet.mode == "RGB"
    assert sheet.height % 34 == 0
    assert len(sheet.getcolors(sheet.width * sheet.height) or []) > 100


def test_people_stand_in_rows_and_cameras_in_blocks() -> None:
    assert contact_sheet(CONFIG).size == (2 * (2 * 18 + 4), 3 * 34)


def test_an_unknown_sheet_is_said() -> None:
    with pytest.raises(UserError, match="did you mean 'outfits'"):
        contact_sheet(CONFIG, "outfit")


def test_seen_joints_are_filled_and_hidden_ones_hollow() -> None:
    joints = np.zeros((17, 3), dtype=np.float32)
    joints[:, :2] = [[5 + 4 * number, 20] for number in range(17)]
    joints[::2, 2] = 1.0
    drawn = Drawn(Image.new("RGB", (80, 40)), np.zeros((40, 80), dtype=np.uint8), joints, 0.0, 0.0)
    marked = with_joints(drawn)
    assert marked.getpixel((5, 20)) != (0, 0, 0)
    assert drawn.picture.getpixel((5, 20)) == (0, 0, 0)
    # Inside a ring there is the picture, or the line of a bone.
    assert marked.getpixel((9, 20)) in ((0, 0, 0), (255, 255, 255))


def test_parts_are_shown_in_their_colours() -> None:
    parts = np.array([[0, 1], [2, 7]], dtype=np.uint8)
    drawn = Drawn(Image.new("RGB", (2, 2)), parts, np.zeros((17, 3), dtype=np.float32), 0.0, 0.0)
    shown = np.asarray(painted_parts(drawn))
    assert [tuple(shown[y, x].tolist()) for y in (0, 1) for x in (0, 1)] == [COLOURS[n] for n in (0, 1, 2, 7)]
