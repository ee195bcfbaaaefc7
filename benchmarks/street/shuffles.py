"""(d) A cause that is exchanged changes what depends on it, and nothing else.

Pictures are drawn twice, the second time with one cause of another picture. What may not change is measured on every
pair: where joints are, part maps, and the background well away from both figures (and above their shadows, where those
depend on what is exchanged).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from benchmarks.street.finding import Finding, percent
from data.street.causes.causes import Causes
from data.street.config import StreetConfig
from data.street.drawing.picture import Drawn, draw
from data.street.world import Shot, World

PAIRS = 40
AWAY = 13
"""Pixels from either figure within which optics and compression still mix them with the background."""
GROUND = 4
"""Below this part of the height shadows may fall; above it they have faded to `FAINT`."""
FAINT = 2
"""Grey values of 255."""
CLOTHES = (2, 4)  # torso and legs, of LABELS


@dataclass(frozen=True)
class Shuffle:
    """One cause, exchanged.

    Attributes:
        joints, parts, background: whether they stay as they are.
        shadow: whether the shadow does.
    """

    name: str
    exchange: Callable[[Causes, Causes], Causes]
    joints: bool
    parts: bool
    background: bool
    shadow: bool = False


def _outfit(causes: Causes, other: Causes) -> Causes:
    return replace(causes, figure=replace(causes.figure, outfit=other.figure.outfit))


def _pose(causes: Causes, other: Causes) -> Causes:
    return replace(causes, figure=replace(causes.figure, pose=other.figure.pose))


def _person(causes: Causes, other: Causes) -> Causes:
    return replace(causes, figure=replace(causes.figure, person=other.figure.person))


def _occluder(causes: Causes, other: Causes) -> Causes:
    # Where a detector's box ends decides where everything in it lies, so that one is left out.
    if other.occluder is None or other.occluder.family == "crop":
        return causes
    return replace(causes, occluder=other.occluder, passer=other.passer)


def _scene(causes: Causes, other: Causes) -> Causes:
    return replace(causes, scene=other.scene)


def _exposure(causes: Causes, other: Causes) -> Causes:
    return replace(causes, exposure=other.exposure)


SHUFFLES = (
    Shuffle("clothes", _outfit, joints=True, parts=False, background=True, shadow=True),
    Shuffle("pose", _pose, joints=False, parts=False, background=True),
    Shuffle("person", _person, joints=False, parts=False, background=True),
    Shuffle("scene", _scene, joints=True, parts=True, background=False),
    Shuffle("exposure", _exposure, joints=True, parts=True, background=False),
    Shuffle("occluder", _occluder, joints=True, parts=False, background=False),
)


def background(before: Drawn, after: Drawn, shadow: bool = False) -> NDArray[np.bool_]:
    """`(H, W)`: pixels that show neither figure, nor its outline blurred, nor the ground on which shadows fall.

    Args:
        shadow: the shadow is the same in both, so the ground counts too.
    """
    figure = Image.fromarray(((before.parts > 0) | (after.parts > 0)).astype(np.uint8) * 255)
    near = np.asarray(figure.filter(ImageFilter.MaxFilter(2 * AWAY + 1))) > 0
    if not shadow:
        near[near.shape[0] // GROUND :] = True
    return ~near


def _overlap(before: Drawn, after: Drawn) -> float:
    first, second = before.parts > 0, after.parts > 0
    return float((first & second).sum() / max((first | second).sum(), 1))


def _clothes(before: Drawn, after: Drawn) -> float:
    """How far the mean colour of torso and legs has moved, in grey values."""
    worn = np.isin(before.parts, CLOTHES) & np.isin(after.parts, CLOTHES)
    if not worn.any():
        return 0.0
    means = [np.asarray(drawn.picture, dtype=np.float64)[worn].mean(axis=0) for drawn in (before, after)]
    return float(np.abs(means[0] - means[1]).mean())


def shuffles(config: StreetConfig) -> Finding:
    """Each cause exchanged in `PAIRS` pictures of a street."""
    world = World(config)
    people = [(number, (number + 1) % config.identities) for number in range(PAIRS)]
    rows, held = [], True
    for shuffle in SHUFFLES:
        moved, overlap, same, changed, seen, colours = 0.0, [], True, 0, 0, []
        for number, (one, another) in enumerate(people):
            first = world.causes(Shot(one % config.identities, number % config.cameras, number), occluded=False)
            second = world.causes(Shot(another, (number + 1) % config.cameras, number + 1), occluded=True)
            before = draw(first, config.height, config.width)
            after = draw(shuffle.exchange(first, second), config.height, config.width)
            moved = max(moved, float(np.abs(before.joints[:, :2] - after.joints[:, :2]).max()))
            overlap.append(_overlap(before, after))
            same &= np.array_equal(before.parts, after.parts)
            apart = background(before, after, shuffle.shadow)
            grey = [np.asarray(drawn.picture, dtype=np.int64)[apart] for drawn in (before, after)]
            pixels = np.abs(grey[0] - grey[1]) > FAINT
            changed, seen = changed + int(pixels.any(axis=1).sum()), seen + len(pixels)
            colours.append(_clothes(before, after))
        stays = (
            (shuffle.joints, moved == 0.0),
            (shuffle.parts, same),
            (shuffle.background, changed == 0 and seen > 0),
        )
        held &= all(not expected or found for expected, found in stays) and not all(found for _, found in stays)
        marks = ["stays" if expected else "may change" for expected, _ in stays]
        rows.append(
            (
                shuffle.name,
                f"{moved:.1f} ({marks[0]})",
                f"{np.mean(overlap):.2f} ({marks[1]})",
                f"{percent(changed / max(seen, 1))} ({marks[2]})",
                f"{np.mean(colours):.0f}",
            )
        )
    return Finding(
        f"(d) A cause that is exchanged changes only what depends on it ({PAIRS} pairs each; what stays is equal).",
        (
            "exchanged", "farthest joint, pixels", "silhouettes' overlap", "background that changed, %",
            "clothes' colour, grey values",
        ),
        tuple(rows),
        held,
    )  # fmt: skip
