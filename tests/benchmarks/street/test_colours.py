"""The colour histogram against loops, and what it finds on a street."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.street.colours import BINS, colours, described, evenly_spread, soft_histogram
from data.catalog import find
from data.street.config import StreetConfig
from data.street.writer import write_street


def test_ranks_are_those_of_a_sort() -> None:
    generator = np.random.default_rng(0)
    pictures = [generator.integers(0, 40, (5, 4, 3), dtype=np.uint8) for _ in range(3)]
    spread = evenly_spread(pictures)
    for channel in range(3):
        values = np.concatenate([picture[..., channel].ravel() for picture in pictures])
        for picture, out in zip(pictures, spread, strict=True):
            for row in range(5):
                for column in range(4):
                    value = picture[row, column, channel]
                    expected = ((values < value).sum() + 0.5 * (values == value).sum()) / len(values)
                    assert out[row, column, channel] == pytest.approx(expected, abs=1e-6)


def test_a_change_of_a_cameras_curve_changes_nothing() -> None:
    generator = np.random.default_rng(1)
    pictures = [generator.integers(0, 120, (6, 6, 3), dtype=np.uint8) for _ in range(2)]
    brighter = [picture * 2 + 3 for picture in pictures]
    for plain, curved in zip(evenly_spread(pictures), evenly_spread(brighter), strict=True):
        assert np.allclose(plain, curved)


def test_the_histogram_is_that_of_loops() -> None:
    values = np.random.default_rng(2).random((30, 3), dtype=np.float32)
    expected = np.zeros((BINS, BINS, BINS))
    for value in values.astype(np.float64):
        place = np.clip(value * BINS - 0.5, 0, BINS - 1)
        for red in range(BINS):
            for green in range(BINS):
                for blue in range(BINS):
                    weights = [max(0.0, 1 - abs(place[c] - b)) for c, b in enumerate((red, green, blue))]
                    expected[red, green, blue] += np.prod(weights)
    assert np.allclose(soft_histogram(values), np.sqrt(expected.ravel() / 30), atol=1e-6)
    assert not soft_histogram(values[:0]).any()


def test_clothes_are_found_until_they_are_changed(tmp_path: Path) -> None:
    config = StreetConfig(layout="ltcc", identities=14, cameras=2, outfits=2, height=64, width=32, shots=2)
    write_street(tmp_path / "street", config)
    dataset = find("street", tmp_path / "street")
    assert described(dataset.query).shape == (len(dataset.query), 3 * BINS**3)
    finding = colours(dataset)
    same, other = (float(row[1]) for row in finding.rows)
    assert same > 2 * other
    assert "same-clothes" in finding.told()
