"""Exchanged causes: what is measured, and that a cause that leaks is noticed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from benchmarks.street import shuffles as room
from benchmarks.street.shuffles import AWAY, SHUFFLES, background, shuffles
from data.street.causes.causes import Causes
from data.street.config import StreetConfig
from data.street.drawing.picture import Drawn

CONFIG = StreetConfig(identities=6, cameras=2, shots=2)


def test_the_background_is_away_from_both_figures() -> None:
    def drawn(left: int) -> Drawn:
        parts = np.zeros((100, 90), dtype=np.uint8)
        parts[20:80, left : left + 5] = 2
        return Drawn(Image.new("RGB", (90, 100)), parts, np.zeros((17, 3), dtype=np.float32), 0.0, 0.0)

    found = background(drawn(20), drawn(50))
    for row in range(100):
        for column in range(90):
            near = 20 - AWAY <= row < 80 + AWAY and any(left - AWAY <= column < left + 5 + AWAY for left in (20, 50))
            assert found[row, column] == (not near and row < 25), (row, column)
    assert np.array_equal(background(drawn(20), drawn(50), shadow=True)[:25], found[:25])
    assert background(drawn(20), drawn(50), shadow=True)[95:].all()


def test_causes_change_only_what_depends_on_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "PAIRS", 6)
    finding = shuffles(CONFIG)
    assert finding.held, finding.told()
    assert [row[0] for row in finding.rows] == [shuffle.name for shuffle in SHUFFLES]


@pytest.mark.parametrize("leak", ["pose", "scene", "nothing"])
def test_a_cause_that_leaks_is_noticed(leak: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def leaking(causes: Causes, other: Causes) -> Causes:
        changed = replace(causes, figure=replace(causes.figure, outfit=other.figure.outfit))
        if leak == "pose":
            return replace(changed, figure=other.figure)
        return replace(changed, scene=other.scene) if leak == "scene" else causes

    monkeypatch.setattr(room, "PAIRS", 2)
    monkeypatch.setattr(room, "SHUFFLES", (replace(SHUFFLES[0], exchange=leaking),))
    assert not shuffles(CONFIG).held
