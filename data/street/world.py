"""The world of one street: from (identity, camera, shot) to the causes of a picture, each from its own stream."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from data.street.causes.cameras import BLOCK, Camera
from data.street.causes.causes import Causes, Figure
from data.street.causes.cities import City
from data.street.causes.exposures import Exposure
from data.street.causes.fashion import Fashion
from data.street.causes.occluders import Occluder
from data.street.causes.outfits import Outfit
from data.street.causes.people import Person
from data.street.causes.poses import Pose
from data.street.causes.scenes import Scene
from data.street.causes.stands import Stand
from data.street.config import StreetConfig
from data.street.drawing.picture import Drawn, draw


class Stream(IntEnum):
    """Which cause a random stream is for: a change to one leaves all others as they were."""

    PERSON = 1
    OUTFIT = 2
    CAMERA = 3
    SCENE = 4
    POSE = 5
    STAND = 6
    EXPOSURE = 7
    SPLIT = 8
    FRAME = 9
    CITY = 10
    FASHION = 11
    WARDROBE = 12
    OCCLUDER = 13
    PASSER = 14


@dataclass(frozen=True, order=True)
class Shot:
    """One picture: the `index`-th of `identity` in `camera`, all from 0, in the person's outfit number `outfit`.

    The outfit decides nothing but the clothes: two shots that differ in it alone differ in clothes alone. (Something in
    the way stands where it hides its share of the clothed person, so it may stand a little elsewhere.)
    Passers-by come after the identities.
    """

    identity: int
    camera: int
    index: int
    outfit: int = 0


class World:
    """A street in memory. Nothing is kept that could not be drawn again from the config."""

    def __init__(self, config: StreetConfig) -> None:
        self.config = config
        self._scenes: dict[int, Scene] = {}
        self._cameras: dict[int, Camera] = {}
        self._owner, self._wardrobe = -1, list[Outfit]()

    def generator(self, stream: Stream, *keys: int) -> np.random.Generator:
        """The stream of one cause and its owner; no other call ever shares it."""
        words = (self.config.seed, self.config.city, int(stream), *keys)
        return np.random.default_rng(np.random.SeedSequence(words))

    @cached_property
    def city(self) -> City:
        # Cities of one seed know of each other, so that the two of a pair are never alike by chance.
        return City.draw(self.config.city, self._of_all_cities(Stream.CITY))

    @cached_property
    def fashion(self) -> Fashion:
        return Fashion.draw(self.config.city, self._of_all_cities(Stream.FASHION))

    def _of_all_cities(self, stream: Stream) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence((self.config.seed, int(stream))))

    @cached_property
    def training(self) -> frozenset[int]:
        """The identities (from 0) that are for training; all others are asked for in the test."""
        order = self.generator(Stream.SPLIT).permutation(self.config.identities)
        return frozenset(order[: self.config.train_identities].tolist())

    @cached_property
    def _wardrobes(self) -> NDArray[np.int64]:
        """`(identities,)`: whose clothes each person wears; `sharing` people for training, or for the test, have one
        wardrobe."""
        order = self.generator(Stream.WARDROBE).permutation(self.config.identities)
        trains = np.isin(order, list(self.training))
        wardrobes = np.empty(self.config.identities, dtype=np.int64)
        for side in (order[trains], order[~trains]):
            wardrobes[side] = side[np.arange(len(side)) // self.config.sharing * self.config.sharing]
        return wardrobes

    def person(self, identity: int) -> Person:
        return Person.draw(self.generator(Stream.PERSON, identity), self.config.likeness)

    def outfit(self, identity: int, number: int = 0) -> Outfit:
        """Outfit `number` of somebody's wardrobe, unlike those before it."""
        owner = int(self._wardrobes[identity]) if identity < self.config.identities else identity
        if owner != self._owner:  # pictures come person by person, so one wardrobe is kept
            self._owner, self._wardrobe = owner, []
        for further in range(len(self._wardrobe), number + 1):
            generator = self.generator(Stream.OUTFIT, owner, further)
            self._wardrobe.append(Outfit.draw(self.fashion, generator, unlike=self._wardrobe))
        return self._wardrobe[number]

    def camera(self, camera: int) -> Camera:
        if camera not in self._cameras:
            self._cameras[camera] = Camera.draw(camera, self.city, self.generator(Stream.CAMERA, camera // BLOCK))
        return self._cameras[camera]

    def scene(self, camera: int) -> Scene:
        """The surroundings of a camera, drawn at first use."""
        if camera not in self._scenes:
            generator = self.generator(Stream.SCENE, camera)
            self._scenes[camera] = Scene.draw(self.camera(camera).horizon, self.city, generator)
        return self._scenes[camera]

    def pose(self, shot: Shot) -> Pose:
        generator = self.generator(Stream.POSE, shot.identity, shot.camera, shot.index)
        return Pose.draw(self.camera(shot.camera).street, self.config.headings, self.config.standing, generator)

    def causes(self, shot: Shot, occluded: bool | None = None) -> Causes:
        """Everything that a picture follows from.

        Args:
            occluded: whether something is in the way; None: as often as the config says.
        """
        keys = shot.identity, shot.camera, shot.index
        occluder, passer = self._occluder(shot, occluded)
        return Causes(
            figure=Figure(self.person(shot.identity), self.outfit(shot.identity, shot.outfit), self.pose(shot)),
            camera=self.camera(shot.camera),
            scene=self.scene(shot.camera),
            stand=Stand.draw(self.generator(Stream.STAND, *keys), self.city),
            exposure=Exposure.draw(self.generator(Stream.EXPOSURE, *keys)),
            occluder=occluder,
            passer=passer,
        )

    def _occluder(self, shot: Shot, occluded: bool | None) -> tuple[Occluder | None, Figure | None]:
        generator = self.generator(Stream.OCCLUDER, shot.identity, shot.camera, shot.index)
        lot, hidden = (
            float(generator.random()),
            float(generator.uniform(self.config.hidden_least, self.config.hidden_most)),
        )
        if not (lot < self.config.occluded if occluded is None else occluded):
            return None, None
        occluder = Occluder.draw(hidden, generator)
        if occluder.family != "person":
            return occluder, None
        # Somebody whom nobody asks for, met here and nowhere else.
        passer = self.generator(Stream.PASSER, shot.identity, shot.camera, shot.index)
        person, outfit = Person.draw(passer, 0.0), Outfit.draw(self.fashion, passer)
        street = self.camera(shot.camera).street
        return occluder, Figure(person, outfit, Pose.draw(street, self.config.headings, self.config.standing, passer))

    def draw(self, shot: Shot, occluded: bool | None = None) -> Drawn:
        """The picture of a shot, and what is known of every pixel of it."""
        return draw(self.causes(shot, occluded), self.config.height, self.config.width)
