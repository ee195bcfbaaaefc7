"""What is known of a street's pictures: every cause, 17 joints and a part map, written beside them.

causes.json     the city, its cameras, every person and every outfit
pictures.jsonl  one line a picture: who, where, when, in what, what is in the way, and the share that is hidden
joints.json     one line a picture: 17 joints [x, y, score] in COCO's order, in pixels
parts/          one PNG a picture, named as it is: what every pixel shows
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from PIL import Image

from data.street.causes.causes import Causes
from data.street.causes.poses import COCO
from data.street.drawing.picture import LABELS, Drawn
from data.street.layouts import Place
from data.street.world import World

CAUSES, PICTURES, JOINTS, PARTS = "causes.json", "pictures.jsonl", "joints.json", "parts"

SCORES = "1 visible, 0.5 behind the person's own body, 0 behind something else or outside the picture"
COLOURS = (
    (0, 0, 0), (238, 190, 120), (66, 133, 204), (112, 190, 180), (92, 76, 148), (206, 84, 74), (226, 206, 60),
    (130, 130, 130),
)  # fmt: skip
"""Of a part map's palette, in the order of `LABELS`, for those who look at one."""


def plain(value: Any) -> Any:
    """A cause as JSON: dataclasses by field, arrays as lists, numbers to six digits."""
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value) if field.repr}
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, np.ndarray | tuple | list):
        return [plain(entry) for entry in (value.tolist() if isinstance(value, np.ndarray) else value)]
    if isinstance(value, float | np.floating):
        return float(f"{float(value):.6g}")
    return value


def picture_line(place: Place, causes: Causes, drawn: Drawn) -> str:
    """One line of pictures.jsonl."""
    shot, figure = place.shot, causes.figure
    told = {
        "path": place.path,
        "split": place.split,
        "pid": place.pid,
        "identity": shot.identity,
        "camera": shot.camera,
        "outfit": shot.outfit,
        "shot": shot.index,
        "hidden": plain(drawn.hidden),
        "covered": plain(drawn.covered),
        "cut": plain(drawn.cut),
        "pose": plain(figure.pose),
        "stand": plain(causes.stand),
        "exposure": plain(causes.exposure),
        "occluder": plain(causes.occluder),
        "passer": plain(causes.passer),
    }
    return json.dumps(told, separators=(",", ":"))


def joints_line(place: Place, drawn: Drawn) -> str:
    """One line of joints.json: the picture and its joints, to a hundredth of a pixel."""
    joints = [[round(x, 2), round(y, 2), score] for x, y, score in drawn.joints.astype(float).tolist()]
    return f"{json.dumps(place.path)}:{json.dumps(joints, separators=(',', ':'))}"


def parts_path(place: Place) -> str:
    """Where the part map of a picture lies, below the street's folder."""
    return f"{PARTS}/{place.path.rpartition('.')[0]}.png"


def save_parts(drawn: Drawn, file: Path) -> None:
    """The part map as a PNG with a palette: its values are indices into `LABELS`."""
    picture = Image.fromarray(drawn.parts)
    picture.putpalette([value for colour in COLOURS for value in colour])
    picture.save(file, "PNG", compress_level=1)


def begin_joints(file: TextIO) -> None:
    """The head of joints.json; its entries follow, one a line, and `end_joints`."""
    head = json.dumps({"joints": COCO, "scores": SCORES, "unit": "pixels from the top left corner"})
    file.write(f'{head[:-1]}, "pictures": {{\n')


def end_joints(file: TextIO) -> None:
    file.write("\n}}\n")


def causes_json(world: World, worn: Iterable[tuple[int, int]]) -> Iterator[str]:
    """causes.json, entry by entry.

    Args:
        worn: identity and outfit number of everything that is worn in some picture, sorted.
    """
    worn = list(worn)
    people = dict.fromkeys(identity for identity, _ in worn)
    head = {"city": world.city, "fashion": world.fashion, "parts": LABELS}
    yield "{" + ",\n".join(f'"{name}":{_line(value)}' for name, value in head.items())
    yield from _table("cameras", ((f"{n}", world.camera(n)) for n in range(world.config.cameras)))
    yield from _table("people", ((f"{n}", world.person(n)) for n in people))
    yield from _table("outfits", ((f"{identity}/{n}", world.outfit(identity, n)) for identity, n in worn))
    yield "}\n"


def _table(title: str, entries: Iterable[tuple[str, object]]) -> Iterator[str]:
    """`"title": {...}`, one line an entry, after what comes before it."""
    yield f',\n"{title}":{{'
    for number, (name, value) in enumerate(entries):
        yield f'{"," if number else ""}\n"{name}":{_line(value)}'
    yield "\n}"


def _line(value: object) -> str:
    return json.dumps(plain(value), separators=(",", ":"))
