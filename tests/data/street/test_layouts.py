"""Every layout: what is planned, that its own reader finds just that, and what it cannot show."""

from __future__ import annotations

import dataclasses
import json
import re
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from common.errors import UserError
from common.files import sha256_of
from data.readers import READERS, read
from data.samples import Dataset, Split
from data.street import StreetConfig, write_street
from data.street.layouts import GALLERY, LAYOUTS, QUERY, TRAIN, VALIDATION, Place, layout_of
from data.street.truth import parts_path
from data.street.world import World

TINY = StreetConfig(identities=5, cameras=2, shots=2, height=32, width=16)
"""Two people to train on and three to look for."""

CONFIGS = {
    "market": dataclasses.replace(TINY, distractors=3),
    "ltcc": dataclasses.replace(TINY, layout="ltcc", outfits=2),
    "prcc": dataclasses.replace(TINY, layout="prcc", outfits=2, cameras=3, shots=3),
    "occluded": dataclasses.replace(TINY, layout="occluded", distractors=2, occluded=0.5),
    "msmt": dataclasses.replace(TINY, layout="msmt", shots=3),
}
PLANNED = {
    # Pictures, people, cameras and outfits (0: not told) of train, query and gallery as they are read.
    "market": ((8, 2, 2, 0), (6, 3, 2, 0), (9, 4, 2, 0)),
    "ltcc": ((16, 2, 2, 4), (12, 3, 2, 6), (12, 3, 2, 6)),
    "prcc": ((12, 2, 3, 4), (18, 3, 2, 6), (9, 3, 1, 3)),
    "occluded": ((8, 2, 2, 0), (6, 3, 2, 0), (8, 4, 2, 0)),
    "msmt": ((12, 2, 2, 0), (6, 3, 2, 0), (12, 3, 2, 0)),
}
NAMES = {
    "market": r"(bounding_box_train|query|bounding_box_test)/(?P<pid>\d{4})_c(?P<cam>\d+)s1_\d{6}_\d\d\.jpg",
    "ltcc": r"(train|query|test)/(?P<pid>\d{3})_(?P<outfit>\d+)_c(?P<cam>\d+)_\d{6}\.png",
    "prcc": r"rgb/(test/(?P<camera>[ABC])/|train/|val/)(?P<pid>\d{3})/(?(camera)|(?P<cam>[ABC])_)cropped_rgb\d{3}\.jpg",
    "occluded": r"(bounding_box_train|query|bounding_box_test)/(?P<pid>\d{4})_c(?P<cam>\d+)_f\d{7}\.jpg",
    "msmt": r"(train|test)/(?P<pid>\d{4})/(?P=pid)_\d{3}_(?P<cam>\d\d)_0303(morning|noon|afternoon)_\d{4}_0\.jpg",
}

every_layout = pytest.mark.parametrize("layout", sorted(CONFIGS))


def planned(config: StreetConfig) -> list[Place]:
    return list(layout_of(config.layout).places(World(config)))


@pytest.fixture(scope="module")
def streets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A written street of every layout."""
    home = tmp_path_factory.mktemp("streets")
    for name, config in CONFIGS.items():
        write_street(home / name, config)
    return {name: home / name for name in CONFIGS}


def read_back(streets: dict[str, Path], layout: str) -> Dataset:
    return read(LAYOUTS[layout].reader, streets[layout], "mine")


def truth(street: Path) -> Iterator[dict[str, object]]:
    return map(json.loads, (street / "pictures.jsonl").read_text().splitlines())


def test_every_layout_is_tried_and_has_a_reader() -> None:
    assert set(CONFIGS) == set(LAYOUTS)
    assert {layout.reader for layout in LAYOUTS.values()} <= set(READERS)


@every_layout
def test_its_reader_finds_what_is_planned(streets: dict[str, Path], layout: str) -> None:
    dataset = read_back(streets, layout)
    for split, told in zip(dataset.splits.values(), PLANNED[layout], strict=True):
        outfits = len(set(split.clothes.tolist()) - {-1})
        assert (len(split), split.identities, split.cameras, outfits) == told
    assert dataset.protocol == {"ltcc": "cloth-changing", "prcc": "prcc-cc"}.get(layout, "market")


@every_layout
def test_its_reader_tells_people_cameras_and_clothes(streets: dict[str, Path], layout: str) -> None:
    """By the paths, which also shows that no part map is taken for a picture."""
    places = {place.path: place for place in planned(CONFIGS[layout])}
    dataset = read_back(streets, layout)
    for title, split in dataset.splits.items():
        for sample, place in shown(split, places):
            assert {VALIDATION: TRAIN}.get(place.split, place.split) == title
            assert sample == (place.pid, place.shot.camera)
    if LAYOUTS[layout].reader in ("ltcc", "prcc"):
        for splits in ((dataset.train,), (dataset.query, dataset.gallery)):
            worn = {
                (number, (place.shot.identity, place.shot.outfit))
                for split in splits
                for number, (_, place) in zip(split.clothes.tolist(), shown(split, places), strict=True)
            }
            assert len(worn) == len({number for number, _ in worn}) == len({outfit for _, outfit in worn})


def shown(split: Split, places: dict[str, Place]) -> list[tuple[tuple[int, int], Place]]:
    """`(pid, camid)` of every row, and what was planned there."""
    labels = zip(split.pids.tolist(), split.camids.tolist(), strict=True)
    return [(label, places[path]) for label, path in zip(labels, split.paths, strict=True)]


@every_layout
def test_nobody_is_trained_on_and_looked_for(layout: str) -> None:
    people: dict[str, set[int]] = {split: set() for split in (TRAIN, VALIDATION, QUERY, GALLERY)}
    for place in planned(CONFIGS[layout]):
        people[place.split].add(place.shot.identity)
    assert not (people[TRAIN] | people[VALIDATION]) & (people[QUERY] | people[GALLERY])
    assert people[TRAIN] | people[QUERY] == set(range(5))
    assert people[QUERY] <= people[GALLERY]
    if layout in ("prcc", "msmt"):
        assert people[VALIDATION] == people[TRAIN]
    else:
        assert not people[VALIDATION]


@every_layout
def test_every_query_has_a_positive(streets: dict[str, Path], layout: str) -> None:
    """Under protocol market, and with clothes told under cloth-changing and same-clothes, where the layout has both."""
    dataset = read_back(streets, layout)
    query, gallery = dataset.query, dataset.gallery
    for row in range(len(query)):
        found = (gallery.pids == query.pids[row]) & (gallery.camids != query.camids[row])
        assert found.any()
        same = gallery.clothes == query.clothes[row]
        if layout == "ltcc":
            assert (found & same).any()
            assert (found & ~same).any()
        if layout == "prcc":  # camera B sees the clothes of A, which is the gallery, and C others
            assert np.unique(same[found]).tolist() == [query.camids[row] == 1]


@every_layout
def test_names_tell_who_and_where(layout: str) -> None:
    for place in planned(CONFIGS[layout]):
        match = re.fullmatch(NAMES[layout], place.path)
        assert match, place.path
        told = {title: text for title, text in match.groupdict().items() if text is not None}
        camera = "ABC".index(told.get("camera") or told["cam"]) if layout == "prcc" else int(told["cam"]) - 1
        assert (int(told["pid"]), camera) == (place.pid, place.shot.camera)
        assert int(told.get("outfit", 1)) - 1 == (place.shot.outfit if layout == "ltcc" else 0)


@every_layout
def test_no_two_places_share_a_path_or_a_moment(layout: str) -> None:
    """A moment is what pose, place and light follow from: in other clothes it must be another one."""
    cameras = 3 if layout == "prcc" else 11
    places = planned(dataclasses.replace(CONFIGS[layout], identities=12, shots=12, cameras=cameras))
    assert len({place.path for place in places}) == len(places)
    assert len({parts_path(place) for place in places}) == len(places)
    moments = {(place.shot.identity, place.shot.camera, place.shot.index) for place in places}
    assert len(moments) == len(places)


@every_layout
def test_ten_million_places_are_not_held(layout: str) -> None:
    config = dataclasses.replace(CONFIGS[layout], identities=50, shots=100_000)
    tracemalloc.start()
    try:
        places = layout_of(layout).places(World(config))
        first = next(places)
        for _ in islice(places, 20_000):
            pass
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert first.shot.identity == 0
    assert peak < 1_000_000


@every_layout
def test_every_picture_has_its_truth(streets: dict[str, Path], layout: str) -> None:
    street, config = streets[layout], CONFIGS[layout]
    paths = [place.path for place in planned(config)]
    joints = json.loads((street / "joints.json").read_text())["pictures"]
    assert list(joints) == [told["path"] for told in truth(street)] == paths
    assert all(len(points) == 17 for points in joints.values())
    here = {file.relative_to(street).as_posix() for file in street.rglob("*") if file.suffix in (".jpg", ".png")}
    assert here == {*paths, *(parts_path(place) for place in planned(config))}
    kind = "PNG" if layout == "ltcc" else "JPEG"
    for place in planned(config):
        with Image.open(street / place.path) as picture, Image.open(street / parts_path(place)) as parts:
            assert (picture.format, picture.mode, picture.size, parts.size) == (kind, "RGB", (16, 32), (16, 32))


def test_bytes_are_the_same_with_two_workers(streets: dict[str, Path], tmp_path: Path) -> None:
    write_street(tmp_path / "again", CONFIGS["ltcc"], workers=2)

    def hashes(street: Path) -> dict[str, str]:
        return {str(file.relative_to(street)): sha256_of(file) for file in street.rglob("*") if file.is_file()}

    assert hashes(tmp_path / "again") == hashes(streets["ltcc"])


@pytest.mark.parametrize(
    ("layout", "changed", "complaint"),
    [
        ("ltcc", {"outfits": 1}, r"outfits is 1, but in the layout ltcc .*; give --outfits 2 or more"),
        ("ltcc", {"distractors": 1}, r"distractors is 1, but the layout ltcc .*; give 0, or --layout market"),
        ("prcc", {"cameras": 4}, r"cameras is 4 and outfits 2, .*; give --cameras 3 --outfits 2"),
        ("prcc", {"outfits": 3}, r"cameras is 3 and outfits 3, .*; give --cameras 3 --outfits 2"),
        ("prcc", {"distractors": 2}, r"distractors is 2, but the layout prcc"),
        ("occluded", {"outfits": 2}, r"the layout occluded does not tell outfits apart; give 1, or --layout ltcc"),
        ("msmt", {"outfits": 2}, r"the layout msmt does not tell outfits apart"),
        ("msmt", {"distractors": 2}, r"distractors is 2, but the layout msmt"),
    ],
)
def test_what_a_layout_cannot_show(tmp_path: Path, layout: str, changed: dict[str, int], complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        write_street(tmp_path / "out", dataclasses.replace(CONFIGS[layout], **changed))  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


def test_outfits_are_sessions() -> None:
    """Whoever comes back in other clothes has passed the camera before."""
    frames: dict[tuple[int, int], dict[int, list[int]]] = {}
    for place in planned(CONFIGS["ltcc"]):
        seen = frames.setdefault((place.shot.identity, place.shot.camera), {})
        seen.setdefault(place.shot.outfit, []).append(int(place.path[-10:-4]))
    assert all(max(seen[0]) < min(seen[1]) for seen in frames.values())


def test_each_outfit_and_camera_has_one_query() -> None:
    places = [place for place in planned(CONFIGS["ltcc"]) if place.split == QUERY]
    asked = Counter((place.shot.identity, place.shot.camera, place.shot.outfit) for place in places)
    assert len(asked) == 3 * 2 * 2
    assert set(asked.values()) == {1}


def test_clothes_of_prcc_follow_from_the_camera() -> None:
    assert {(place.shot.camera, place.shot.outfit) for place in planned(CONFIGS["prcc"])} == {(0, 0), (1, 0), (2, 1)}


def test_queries_are_occluded_and_the_gallery_is_whole(streets: dict[str, Path]) -> None:
    asked = {place.split: place.occluded for place in planned(CONFIGS["occluded"])}
    assert asked == {TRAIN: None, QUERY: True, GALLERY: False}
    in_the_way: dict[object, list[bool]] = {TRAIN: [], QUERY: [], GALLERY: []}
    for told in truth(streets["occluded"]):
        in_the_way[told["split"]].append(told["occluder"] is not None)
        assert told["occluder"] is not None or told["covered"] == 0.0
    assert all(in_the_way[QUERY])
    assert not any(in_the_way[GALLERY])
    assert 0 < sum(in_the_way[TRAIN]) < len(in_the_way[TRAIN])


def test_lists_of_msmt_name_each_picture_once(streets: dict[str, Path]) -> None:
    street = streets["msmt"]
    listed = {title: (street / f"list_{title}.txt").read_text().splitlines() for title in ("train", "val")}
    listed |= {title: (street / f"list_{title}.txt").read_text().splitlines() for title in ("query", "gallery")}
    assert {title: len(lines) for title, lines in listed.items()} == {"train": 8, "val": 4, "query": 6, "gallery": 12}
    for folder, titles, people in (("train", ("train", "val"), 2), ("test", ("query", "gallery"), 3)):
        rows = [line.split(" ") for title in titles for line in listed[title]]
        there = {file.relative_to(street / folder).as_posix() for file in (street / folder).rglob("*.jpg")}
        assert sorted(path for path, _ in rows) == sorted(there)
        assert all(path.startswith(f"{int(label):04d}/{int(label):04d}_") for path, label in rows)
        assert {int(label) for _, label in rows} == set(range(people))
        for person in (street / folder).iterdir():  # the second number counts a person's pictures
            assert sorted(int(file.name.split("_")[1]) for file in person.iterdir()) == list(range(6))
    assert read("msmt", street, "mine").notes == ("MSMT17 V1 is read, the version papers use",)
