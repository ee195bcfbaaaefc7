"""From all causes to one picture, its part map and its joints: a pure function."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from data.street.causes.causes import Causes
from data.street.causes.palette import Array
from data.street.causes.poses import COCO, joints
from data.street.drawing.bodies import limbs
from data.street.drawing.crops import cropped
from data.street.drawing.fronts import front_of
from data.street.drawing.paint import SUPERSAMPLING, rasterise, shade
from data.street.drawing.parts import Part
from data.street.drawing.shadows import lightness
from data.street.drawing.visibility import BEHIND_ONESELF, HIDDEN, VISIBLE, scores

__all__ = ["BEHIND_ONESELF", "HIDDEN", "LABELS", "VISIBLE", "Drawn", "draw", "majority"]

LABELS = ("background", "head", "torso", "arms", "legs", "feet", "bag", "other person")
"""What the pixels of a part map mean, by value."""

_PERSON = {
    Part.BACKGROUND: 0, Part.HEAD: 1, Part.HAIR: 1, Part.TORSO: 2, Part.ARMS: 3, Part.HANDS: 3, Part.LEGS: 4,
    Part.FEET: 5, Part.BAG: 6,
}  # fmt: skip
_LABEL_OF = np.array([_PERSON[part] for part in Part], dtype=np.uint8)


@dataclass(frozen=True)
class Drawn:
    """A picture and the truth about it.

    Attributes:
        picture: RGB, `height` by `width`.
        parts: `(H, W)` uint8, an index into `LABELS` for every pixel.
        joints: `(17, 3)` float32 in COCO's order: x and y in pixels from the top left corner (pixel centres at .5),
            and one of `VISIBLE`, `BEHIND_ONESELF`, `HIDDEN`.
        covered: the share of the person, as it would be seen alone and whole, that something hides.
        cut: the share of the person that lies beyond the picture's edge.
    """

    picture: Image.Image
    parts: NDArray[np.uint8]
    joints: Array
    covered: float
    cut: float

    @property
    def hidden(self) -> float:
        """The share of the person that cannot be seen."""
        return self.covered + self.cut


def draw(causes: Causes, height: int, width: int) -> Drawn:
    """The picture that follows from `causes`: ground and shadow, the person, and what is in front of them."""
    figure, camera, stand = causes.figure, causes.camera, causes.stand
    points = joints(figure.person, figure.pose)
    body = limbs(figure.person, figure.outfit, figure.pose, points)
    extent = np.array([*points.values(), points["head"] + [0.0, 0.055 * figure.person.height, 0.0]])
    view = camera.view(figure.pose.heading, stand).framed(extent, height, width, stand.fill, stand.shift)
    if causes.occluder is not None and causes.occluder.family == "crop":
        view, stand = cropped(body, view, stand, causes.occluder, height, width)
    light = camera.light(causes.scene.brightness_at(stand.place))
    surface = rasterise(body, view, height, width)
    before = front_of(causes, surface, light)

    seen = surface.solid if before is None else surface.solid & ~before.solid
    painted = shade(surface, seen, light, stand.folds)
    labels = surface.labels(_LABEL_OF)
    empty, ground, colour = 1.0 - painted.cover, lightness(view, camera, height, width), painted.colour
    if before is not None:
        labels[before.solid] = LABELS.index("other person") if causes.passer is not None else 0
        empty, colour = empty - before.painted.cover, colour + before.painted.colour
        if before.view is not None:
            ground = ground * lightness(before.view, camera, height, width)
    behind = causes.scene.window(stand.place, stand.zoom, stand.drop, height, width)
    # Rows of width times three: many times faster than over last axes of three.
    lit = behind.reshape(height, -1) * np.repeat(empty * ground, 3, axis=1)
    lit *= np.tile(camera.sun + camera.sky, width)
    lit += colour.reshape(height, -1)
    colour = lit.reshape(height, width, 3)

    inside, shown = int(np.count_nonzero(surface.solid)), int(np.count_nonzero(seen))
    projected = view.project(np.array([points[name] for name in COCO]))
    seen_well = scores(surface, projected, figure.person.height, None if before is None else before.solid)
    return Drawn(
        picture=camera.develop(colour, causes.exposure),
        parts=majority(labels, SUPERSAMPLING),
        joints=np.column_stack([projected[:, :2], seen_well]),
        covered=(inside - shown) / surface.whole,
        cut=(surface.whole - inside) / surface.whole,
    )


def majority(labels: NDArray[np.uint8], samples: int) -> NDArray[np.uint8]:
    """The label that most of the `samples`² samples of each pixel have; of several, the greatest.

    Args:
        labels: `(H·samples, W·samples)`, all below `len(LABELS)`.
    """
    firsts = [(row, column) for row in range(samples) for column in range(samples)]
    planes = np.stack([labels[row::samples, column::samples] for row, column in firsts])
    found, most = np.zeros(planes.shape[1:], dtype=np.uint8), np.zeros(planes.shape[1:], dtype=np.uint8)
    for label in range(len(LABELS)):
        votes = np.add.reduce(planes == label, axis=0, dtype=np.uint8)
        np.copyto(found, np.uint8(label), where=(votes >= most) & (votes > 0))
        np.maximum(most, votes, out=most)
    return found
