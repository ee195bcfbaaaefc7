"""Grounds: what a street is paved with, in perspective, as rows of one picture that is as long as the street."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from data.street.causes.palette import Array


@dataclass(frozen=True)
class Perspective:
    """How large things are on the ground at each height of a scene.

    Attributes:
        eye: row of the eye's level, where the ground would end if nothing stood on it.
        feet: row of the feet of somebody who is `metre` samples a metre tall.
        metre: samples per metre there.
    """

    eye: float
    feet: float
    metre: float

    def scale(self, row: float) -> float:
        """Samples per metre on the ground at a row below the eye's level."""
        return self.metre * max(row - self.eye, 1.0) / (self.feet - self.eye)


@dataclass(frozen=True)
class _Paving:
    """A kind of ground.

    Attributes:
        colour: sRGB, 0–255.
        wide, long: metres of one stone; 0 for ground without stones.
        joint: metres between stones, and how bright it is beside them.
        mottle: how unlike the stones are, in parts of their brightness.
        grit: grey values of fine roughness.
        bond: how far each row of stones is moved, in parts of a stone.
    """

    colour: tuple[float, float, float]
    wide: float = 0.0
    long: float = 0.0
    joint: tuple[float, float] = (0.03, 0.75)
    mottle: float = 0.05
    grit: float = 5.0
    bond: float = 0.0


_KINDS: Mapping[str, _Paving] = {
    "asphalt": _Paving((104, 104, 107), grit=8.0),
    "slabs": _Paving((150, 146, 138), 0.6, 0.6, (0.025, 0.72), 0.07, bond=0.5),
    "cobbles": _Paving((118, 114, 110), 0.2, 0.17, (0.045, 0.6), 0.2, bond=0.5),
    "gravel": _Paving((152, 142, 122), grit=17.0),
    "grass": _Paving((104, 114, 78), grit=15.0),
    "tiles": _Paving((166, 158, 148), 0.4, 0.4, (0.025, 0.82), 0.05, 3.0),
    "bricks": _Paving((140, 98, 82), 0.26, 0.13, (0.02, 0.75), 0.16, bond=0.5),
    "concrete": _Paving((142, 140, 134), 3.2, 2.6, (0.05, 0.68), 0.06, 6.0),
}
_DEPTH = 7.0
"""Metres from a camera to somebody at the feet's row."""


def paved(kind: str, rows: Array, length: int, perspective: Perspective, generator: np.random.Generator) -> Array:
    """A stretch of ground `(len(rows), length, 3)` in grey values 0–255; `rows` are rows of the scene."""
    paving = _KINDS[kind]
    colour = np.array(paving.colour, dtype=np.float32) * np.float32(generator.uniform(0.86, 1.12))
    tone = np.ones((len(rows), length), dtype=np.float32)
    scale = (perspective.metre * np.maximum(rows - perspective.eye, 1.0) / (perspective.feet - perspective.eye))[
        :, None
    ]
    away = _DEPTH * perspective.metre / scale
    skew = float(generator.uniform(-0.5, 0.5))
    vanishing = float(generator.uniform(0.0, length))
    across = (np.arange(length, dtype=np.float32)[None, :] - np.float32(vanishing)) / scale + np.float32(skew) * away
    if paving.wide:
        tone *= _stones(paving, across.astype(np.float32), away.astype(np.float32), scale, generator)
    grit = generator.standard_normal(tone.shape, dtype=np.float32) * np.float32(paving.grit / 128.0)
    tone += grit * np.minimum(scale / np.float32(perspective.metre) + 0.3, 1.0).astype(np.float32)
    if kind != "grass" and generator.random() < 0.75:
        _kerb(tone, away[:, 0], generator)
    if kind == "asphalt" and generator.random() < 0.6:
        _lines(tone, across, away, generator)
    painted: Array = tone[..., None] * colour
    return painted


def _stones(paving: _Paving, across: Array, away: Array, scale: Array, generator: np.random.Generator) -> Array:
    """How bright each point is that lies `across` and `away` metres from the camera."""
    row = away / np.float32(paving.long)
    line = np.floor(row)
    column = across / np.float32(paving.wide) + np.float32(paving.bond) * (line % 2)
    place = np.floor(column)
    shades = generator.uniform(1.0 - paving.mottle, 1.0 + paving.mottle, 1024).astype(np.float32)
    tone = shades[(place.astype(np.int32) * 73 + line.astype(np.int32) * 411) & 1023]
    wide, dark = paving.joint
    between = ((column - place) < wide / paving.wide) | ((row - line) < wide / paving.long)
    # Too far away to be told apart, stones and joints are one grey.
    told = np.clip(scale * np.float32(paving.long * 0.35) - 0.8, 0.0, 1.0).astype(np.float32)
    laid: Array = 1.0 + told * (np.where(between, np.float32(dark), tone) - 1.0)
    return laid


def _kerb(tone: Array, away: Array, generator: np.random.Generator) -> None:
    """Darken what lies beyond a kerb: the roadway."""
    kerb = float(generator.uniform(6.4, 14.0))
    tone[away > kerb] *= np.float32(generator.uniform(0.72, 0.95))
    tone[(away > kerb) & (away < kerb + 0.25)] = np.float32(1.3)
    tone[(away > kerb + 0.25) & (away < kerb + 0.42)] = np.float32(0.6)


def _lines(tone: Array, across: Array, away: Array, generator: np.random.Generator) -> None:
    """Paint: a line along the road or the bars of a crossing."""
    start = float(generator.uniform(6.0, 10.0))
    if generator.random() < 0.5:
        tone[(np.abs(away[:, 0] - start) < 0.09)] = np.float32(1.75)
        return
    first = float(generator.uniform(-3.0, 1.0))
    bars = (across > first) & (across < first + 4.0) & ((across - first) % 1.0 < 0.5)
    tone[bars & (away > start) & (away < start + 3.0)] = np.float32(1.75)
