"""All causes of one picture together: replace one, and the picture shows what depends on it and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from data.street.causes.cameras import Camera
from data.street.causes.exposures import Exposure
from data.street.causes.occluders import Occluder
from data.street.causes.outfits import Outfit
from data.street.causes.people import Person
from data.street.causes.poses import Pose
from data.street.causes.scenes import Scene
from data.street.causes.stands import Stand


@dataclass(frozen=True)
class Figure:
    """Somebody in clothes and in motion."""

    person: Person
    outfit: Outfit
    pose: Pose


@dataclass(frozen=True)
class Causes:
    """What `data.street.drawing.picture.draw` makes a picture of.

    Attributes:
        figure: who the picture is of.
        camera, scene: through what and before what they are seen.
        stand, exposure: this moment's place, framing and sensor.
        occluder: what is in the way; None when nothing is.
        passer: who is in the way when the occluder is a person; None otherwise.
    """

    figure: Figure
    camera: Camera
    scene: Scene
    stand: Stand
    exposure: Exposure
    occluder: Occluder | None = None
    passer: Figure | None = None
