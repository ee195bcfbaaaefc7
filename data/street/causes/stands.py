"""A stand: where along the street somebody is met, and how a sloppy detector frames them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data.street.causes.cities import City


@dataclass(frozen=True)
class Stand:
    """The momentary cause beside the pose.

    Attributes:
        place: along the street, 0 to 1; the light and the background follow.
        zoom: part of the scene's height that the crop shows.
        drop: where in the rest the crop begins, 0 top to 1 bottom.
        near: factor on the camera's distance.
        tilt, turn: radians that pitch and roll differ from the camera's own.
        fill: part of the picture's height that the person fills.
        shift: right and down, in parts of the picture's width and height.
        folds: where in the noise of folded cloth this moment lies, down and right, 0 to 1.
    """

    place: float
    zoom: float
    drop: float
    near: float
    tilt: float
    turn: float
    fill: float
    shift: tuple[float, float]
    folds: tuple[float, float]

    @classmethod
    def draw(cls, generator: np.random.Generator, city: City) -> Stand:
        """A moment as detectors catch it: mostly a little too large a box, now and then feet or head cut off.

        Args:
            city: whose detector it is; each has its habits.
        """

        def between(name: str) -> float:
            return float(generator.uniform(*city.ranges[name]))

        jitter = between("jitter")
        return cls(
            place=float(generator.random()),
            zoom=between("zoom"),
            drop=float(generator.uniform(0.4, 1.0)),
            near=float(np.exp(generator.normal(0.0, 0.15))),
            tilt=float(generator.normal(0.0, 0.02)),
            turn=float(generator.normal(0.0, 0.02)),
            fill=float(np.clip(between("fill") + generator.normal(0.0, 0.02), 0.78, 1.08)),
            shift=(
                between("aside") + float(generator.normal(0.0, jitter)),
                between("down") + float(generator.normal(0.0, 0.4 * jitter)),
            ),
            folds=(float(generator.random()), float(generator.random())),
        )
