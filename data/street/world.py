"""The world of one street: from (identity, camera, shot) to a picture, each cause drawn from its own stream."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

import numpy as np
from PIL import Image

from data.street.bodies import limbs
from data.street.cameras import BLOCK, Camera
from data.street.config import StreetConfig
from data.street.outfits import Outfit
from data.street.paint import SUPERSAMPLING, Painted, paint
from data.street.palette import Array
from data.street.people import Person
from data.street.poses import Pose, joints
from data.street.scenes import Scene
from data.street.views import View


class Stream(IntEnum):
    """Which cause a random stream is for: a change to one leaves all others as they were."""

    PERSON = 1
    OUTFIT = 2
    CAMERA = 3
    SCENE = 4
    POSE = 5
    VIEW = 6
    SENSOR = 7
    SPLIT = 8
    FRAME = 9
    FOLDS = 10


@dataclass(frozen=True, order=True)
class Shot:
    """One picture: the `index`-th of `identity` in `camera`, all from 0. Passers-by come after the identities."""

    identity: int
    camera: int
    index: int


class World:
    """A street in memory. Nothing is kept that could not be drawn again from the config."""

    def __init__(self, config: StreetConfig) -> None:
        self.config = config
        self._scenes: dict[int, Scene] = {}

    def generator(self, stream: Stream, *keys: int) -> np.random.Generator:
        """The stream of one cause and its owner; no other call ever shares it."""
        words = (self.config.seed, self.config.city, int(stream), *keys)
        return np.random.default_rng(np.random.SeedSequence(words))

    def person(self, identity: int) -> Person:
        return Person.draw(self.generator(Stream.PERSON, identity))

    def outfit(self, identity: int, number: int = 0) -> Outfit:
        """Outfit `number` of somebody's wardrobe."""
        return Outfit.draw(self.generator(Stream.OUTFIT, identity, number))

    def camera(self, camera: int) -> Camera:
        return Camera.draw(camera, self.generator(Stream.CAMERA, camera // BLOCK))

    def scene(self, camera: int) -> Scene:
        """The surroundings of a camera, drawn at first use."""
        if camera not in self._scenes:
            # The more a camera looks down, the higher the ground reaches behind people.
            horizon = 0.62 - 1.5 * self.camera(camera).pitch
            self._scenes[camera] = Scene.draw(horizon, self.generator(Stream.SCENE, camera))
        return self._scenes[camera]

    def pose(self, shot: Shot) -> Pose:
        street = self.camera(shot.camera).street
        return Pose.draw(street, self.generator(Stream.POSE, shot.identity, shot.camera, shot.index))

    @cached_property
    def _folds(self) -> Array:
        """Slow noise for the folds of cloth, `(2H·S, 2W·S)`, of which each shot sees a piece."""
        height, width = 2 * SUPERSAMPLING * self.config.height, 2 * SUPERSAMPLING * self.config.width
        generator = self.generator(Stream.FOLDS)
        folds = np.zeros((height, width), dtype=np.float32)
        for cells, strength in ((28, 0.7), (60, 0.5)):
            coarse = generator.normal(0.0, strength, (cells, cells)).astype(np.float32)
            folds += np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
        return folds

    def figure(self, shot: Shot) -> tuple[Painted, View, float, float]:
        """The person of a shot on nothing, as seen, and where along the street: the place and its zoom."""
        config = self.config
        generator = self.generator(Stream.VIEW, shot.identity, shot.camera, shot.index)
        person, pose, camera = self.person(shot.identity), self.pose(shot), self.camera(shot.camera)
        points = joints(person, pose)
        extent = np.array([*points.values(), points["head"] + [0.0, 0.055 * person.height, 0.0]])
        # A sloppy detector: mostly a little too large, now and then cutting off feet or head.
        fill = float(np.clip(generator.normal(0.94, 0.045), 0.8, 1.08))
        shift = float(generator.normal(0.0, 0.05)), float(generator.normal(0.0, 0.022))
        view = camera.view(pose.heading, generator).framed(extent, config.height, config.width, fill, shift)
        place, zoom = float(generator.random()), float(generator.uniform(0.66, 0.8))
        light = camera.light(float(self.scene(shot.camera).brightness_at(place)))
        top = int(generator.integers(self._folds.shape[0] // 2))
        left = int(generator.integers(self._folds.shape[1] // 2))
        folds = self._folds[top : top + config.height * SUPERSAMPLING, left : left + config.width * SUPERSAMPLING]
        body = limbs(person, self.outfit(shot.identity), pose, points)
        return paint(body, view, light, folds, config.height, config.width), view, place, zoom

    def picture(self, shot: Shot) -> Image.Image:
        """The RGB picture of a shot, `height` by `width` pixels."""
        height, width = self.config.height, self.config.width
        painted, view, place, zoom = self.figure(shot)
        generator = self.generator(Stream.SENSOR, shot.identity, shot.camera, shot.index)
        camera = self.camera(shot.camera)
        behind = self.scene(shot.camera).window(place, zoom, float(generator.uniform(0.4, 1.0)), height, width)
        behind = behind * _shadow(view, camera, height, width)[..., None]
        light = painted.colour + (1.0 - painted.cover)[..., None] * behind * (camera.sun + camera.sky)
        return camera.develop(light, generator)

    def quality(self, shot: Shot) -> int:
        """The JPEG quality of a shot's camera."""
        return self.camera(shot.camera).quality


def _shadow(view: View, camera: Camera, height: int, width: int) -> Array:
    """How much of the light reaches the ground around somebody, `(height, width)` in (0, 1]."""
    x, y = view.centre
    rows = np.arange(height, dtype=np.float32)[:, None] - np.float32(y)
    columns = np.arange(width, dtype=np.float32)[None, :] - np.float32(x)
    flat = np.float32(max(np.sin(view.pitch), 0.12))
    metre = np.float32(view.scale)
    contact = np.exp(-((columns / (0.28 * metre)) ** 2) - (rows / (0.28 * flat * metre)) ** 2)
    # Away from the sun lies the long shadow, an ellipse as far as the person is tall.
    away_x, away_y = -float(camera.sun_from[0]), -float(camera.sun_from[2]) * float(flat)
    across, along = columns - 0.55 * away_x * metre, rows + 0.55 * away_y * metre
    length = np.float32(np.hypot(away_x, away_y) + 1e-3)
    ahead = (across * away_x - along * away_y) / length
    aside = (across * away_y + along * away_x) / length
    cast = np.exp(-((ahead / (0.6 * length * metre + 1.0)) ** 2) - (aside / (0.24 * metre * (0.4 + flat))) ** 2)
    strength = float(camera.sun.sum() / (camera.sun.sum() + camera.sky.sum()))
    reached: Array = (1.0 - 0.5 * contact) * (1.0 - np.float32(0.75 * strength) * cast)
    return reached.astype(np.float32)
