"""A view: where a camera stands to somebody, and how a sloppy detector crops them out of its frame."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from data.street.causes.palette import Array


@dataclass(frozen=True)
class Light:
    """What falls on a person.

    Attributes:
        direction: `(3,)` unit vector towards the sun as the picture lies: right, up, to the viewer.
        sun, sky: `(3,)` linear colours.
    """

    direction: Array
    sun: Array
    sky: Array

    def received(self, right: Array, up: Array, ahead: Array, wrinkled: Array) -> tuple[Array, Array]:
        """The shares of sun and sky that surfaces get whose unit normals are those, folded by `wrinkled` (about ±1)."""
        x, y, z = self.direction.tolist()
        sunny = np.maximum(right * x + up * y + ahead * z + 0.25 * wrinkled, 0.0)
        # More of the sky from above, and less at the rim of a round limb.
        open_sky = 0.5 + 0.22 * up + 0.3 * ahead + 0.06 * wrinkled
        return sunny, open_sky


@dataclass(frozen=True)
class View:
    """Perspective from metres round a person to pixels of the crop.

    Attributes:
        heading: radians that the body is turned from facing the camera, to the picture's right.
        pitch: radians that the camera looks down.
        roll: radians that the picture is turned.
        distance: metres from the camera to the person.
        scale: pixels per metre at the person.
        centre: pixels (x, y) where the middle of the body's ground point falls.
    """

    heading: float
    pitch: float
    roll: float
    distance: float
    scale: float = 1.0
    centre: tuple[float, float] = (0.0, 0.0)

    def project(self, points: Array) -> Array:
        """Points `(N, 3)` of the body as `(N, 4)`: x, y, depth towards the viewer, and pixels per metre there."""
        right = points[:, 0] * np.cos(self.heading) + points[:, 2] * np.sin(self.heading)
        ahead = points[:, 2] * np.cos(self.heading) - points[:, 0] * np.sin(self.heading)
        up = points[:, 1] * np.cos(self.pitch) - ahead * np.sin(self.pitch)
        near = points[:, 1] * np.sin(self.pitch) + ahead * np.cos(self.pitch)
        scale = self.scale * self.distance / np.maximum(self.distance - near, 0.5)
        x = scale * (right * np.cos(self.roll) - up * np.sin(self.roll)) + self.centre[0]
        y = -scale * (up * np.cos(self.roll) + right * np.sin(self.roll)) + self.centre[1]
        return np.stack([x, y, near * self.scale, scale], axis=1).astype(np.float32)

    def azimuth(self, right: Array, up: Array, ahead: Array, yaw: Array | float = 0.0) -> Array:
        """For unit normals in the picture, the angle in [−π, π] from the front of the body, to its left.

        Args:
            right, up, ahead: `(k,)` parts of the normals; ahead is towards the viewer.
            yaw: what a limb is turned by itself.
        """
        level = ahead * np.cos(self.pitch) - up * np.sin(self.pitch)
        turn = np.arctan2(right, level) - (yaw + self.heading)
        wrapped: Array = turn - np.rint(turn / (2 * np.pi)) * (2 * np.pi)
        return wrapped

    def framed(self, points: Array, height: int, width: int, fill: float, shift: tuple[float, float]) -> View:
        """The same view scaled and moved so that `points` fill `fill` of the height, off centre by `shift`.

        Args:
            shift: right and down, in parts of the picture's width and height.
        """
        plain = self.project(points)
        low, high = plain[:, :2].min(axis=0), plain[:, :2].max(axis=0)
        scale = fill * height / max(float(high[1] - low[1]), 1e-3)
        middle = (low + high) / 2 * scale
        x = (0.5 + shift[0]) * width - float(middle[0])
        y = (0.5 + shift[1]) * height - float(middle[1])
        return replace(self, scale=scale, centre=(x, y))
