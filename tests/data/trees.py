"""Every dataset of the field in miniature: the folders as their authors lay them out, and what a reader must find.

A function writes a tree with the oddities of the real one (sub-folders, lists, junk, other picture formats) and says
which rows are in it. It knows them because it wrote them: labels are never taken from a file name here.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from data.street import StreetConfig, write_street
from tests.data.readers.trees import picture

Outfit = tuple[int, int] | None
SPLITS = ("train", "query", "gallery")


class Row(NamedTuple):
    """One picture: `clothes` is the person and the outfit's number, or `None`."""

    path: str
    pid: int
    camid: int = -1
    clothes: Outfit = None


@dataclass(frozen=True)
class Tree:
    """A small dataset on disk.

    Attributes:
        reader, options: how to read it.
        root: what to give as its root.
        rows: what each split must hold, outfits numbered.
        protocol: the rule it must be judged by.
        named: what papers on it call that.
        parts: what to remove, below `root`, for a split to be missing.
        wrong: a path, below `root`, whose name tells nothing, for each split that can have one.
    """

    reader: str
    root: Path
    rows: dict[str, list[tuple[str, int, int, int]]]
    protocol: str = "market"
    options: Mapping[str, str] = field(default_factory=dict)
    parts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    wrong: Mapping[str, str] = field(default_factory=dict)
    named: str | None = None


def rows_of(train: Iterable[Row] = (), query: Iterable[Row] = (), gallery: Iterable[Row] = ()) -> dict[str, list[Row]]:
    return {"train": list(train), "query": list(query), "gallery": list(gallery)}


def numbered(rows: Mapping[str, list[Row]]) -> dict[str, list[tuple[str, int, int, int]]]:
    """Sorted by path, without unknown people; outfits numbered in sorted order, those of the test together."""
    known = {title: sorted(row for row in rows[title] if row.pid != -1) for title in SPLITS}
    trained = sorted({row.clothes for row in known["train"] if row.clothes is not None})
    tested = sorted({row.clothes for title in SPLITS[1:] for row in known[title] if row.clothes is not None})
    told: dict[str, list[tuple[str, int, int, int]]] = {}
    for title in SPLITS:
        order = trained if title == "train" else tested
        told[title] = []
        for row in known[title]:
            outfit = -1 if row.clothes is None else order.index(row.clothes)
            told[title].append((row.path, row.pid, row.camid, outfit))
    return told


def write(root: Path, rows: Mapping[str, list[Row]]) -> None:
    """The pictures, and in each of their folders what file browsers leave there."""
    for title in SPLITS:
        for row in rows[title]:
            picture(root / row.path)
            folder = (root / row.path).parent
            for litter in ("Thumbs.db", ".DS_Store", "readme.txt", "._0001_c1s1_1.jpg"):
                (folder / litter).write_bytes(b"")


def market(root: Path) -> Tree:
    """Cameras of one and two digits, a training picture in a sub-folder, junk (-1) and distractors (0000)."""
    rows = rows_of()
    for pid in (2, 7, 1500):
        for camera in (1, 3, 12):
            below = "more/" if pid == 7 else ""
            path = f"bounding_box_train/{below}{pid:04d}_c{camera}s1_{camera:06d}_01.jpg"
            rows["train"].append(Row(path, pid, camera - 1))
    for pid in (1, 3):
        rows["query"].append(Row(f"query/{pid:04d}_c1s1_001051_00.jpg", pid, 0))
        for camera in (1, 10):
            rows["gallery"].append(Row(f"bounding_box_test/{pid:04d}_c{camera}s2_002301_02.bmp", pid, camera - 1))
    rows["gallery"].append(Row("bounding_box_test/-1_c1s1_000401_03.jpg", -1, 0))
    rows["gallery"].append(Row("bounding_box_test/0000_c6s1_000151_01.jpg.jpg", 0, 5))
    write(root, rows)
    picture(root / "query" / "unread" / "0001_c1s1_1.jpg")
    return Tree("market", root, numbered(rows), parts=MARKET_PARTS, wrong=MARKET_WRONG)


MARKET_PARTS = {"train": ("bounding_box_train",), "query": ("query",), "gallery": ("bounding_box_test",)}
MARKET_WRONG = {
    "train": "bounding_box_train/x0002_c1s1_1.jpg",
    "query": "query/0001-c1s1.jpg",
    "gallery": "bounding_box_test/0001_c0s1_1.jpg",
}


def duke(root: Path) -> Tree:
    """Names with a frame, and gallery people whom nobody asks for."""
    return _duke(root, {})


def occluded_duke(root: Path) -> Tree:
    """The same folders and names, and the lists that it was divided by."""
    tree = replace(_duke(root, {"variant": "occluded-duke"}), named="occluded-duke")
    for title, told in tree.rows.items():
        lines = [path.rpartition("/")[2] for path, *_ in told]
        (root / f"{title}.list").write_text("\n".join(lines))
    return tree


def occluded_duke_lists(root: Path) -> Tree:
    """DukeMTMC-reID as it is, some of whose pictures lists make another split's; nobody uses the others."""
    rows = rows_of()
    for pid in (1, 20, 700):
        rows["train"] += [
            Row(f"bounding_box_train/{pid:04d}_c{camera}_f0046182.jpg", pid, camera - 1) for camera in (1, 8)
        ]
        rows["train"].append(Row(f"bounding_box_train/more/{pid:04d}_c3_f0046182.jpg", pid, 2))
    rows["train"].append(Row("query/0001_c2_f0000007.jpg", 1, 1))
    for pid in (5, 60):
        rows["query"].append(Row(f"bounding_box_test/{pid:04d}_c4_f0046182.jpg", pid, 3))
        rows["gallery"].append(Row(f"query/{pid:04d}_c7_f0046182.jpg", pid, 6))
        rows["gallery"].append(Row(f"bounding_box_test/{pid:04d}_c2_f0099999.jpg", pid, 1))
    rows["query"].append(Row("bounding_box_train/0060_c4_f0046183.jpg", 60, 3))
    rows["gallery"].append(Row("bounding_box_test/0999_c2_f0099999.jpg", 999, 1))
    write(root, rows)
    picture(root / "bounding_box_train" / "0020_c5_f0001111.jpg")
    (root / "Occluded_Duke").mkdir()
    parts = {}
    for title, told in rows.items():
        file = f"Occluded_Duke/{title}.list"
        (root / file).write_text("".join(f"{path.rpartition('/')[2]}\r\n" for path, *_ in reversed(told)) + "\r\n")
        parts[title] = (file,)
    return Tree("occluded-duke", root, numbered(rows), parts=parts, named="occluded-duke")


def _duke(root: Path, options: Mapping[str, str]) -> Tree:
    rows = rows_of()
    for pid in range(1, 4):
        for camera in range(1, 9, 3):
            path = f"bounding_box_train/{pid:04d}_c{camera}_f{pid * 46182:07d}.jpg"
            rows["train"].append(Row(path, pid, camera - 1))
    for pid in (5, 60, 700):
        if pid != 60:
            rows["query"].append(Row(f"query/{pid:04d}_c8_f0046182.jpg", pid, 7))
        for camera in (2, 8):
            path = f"bounding_box_test/{pid:04d}_c{camera}_f0099999.jpg"
            rows["gallery"].append(Row(path, pid, camera - 1))
    write(root, rows)
    return Tree("market", root, numbered(rows), options=options, parts=MARKET_PARTS, wrong=MARKET_WRONG)


def cuhk(root: Path) -> Tree:
    """Both variants, which hold other pictures; PNG; the inner folder is what paths are relative to."""
    return _cuhk(root, "detected")


def cuhk_labeled(root: Path) -> Tree:
    """Its other variant."""
    return _cuhk(root, "labeled")


def _cuhk(root: Path, asked: str) -> Tree:
    found = rows_of()
    for variant, shots in (("detected", (1, 2)), ("labeled", (1, 2, 6))):
        rows = rows_of()
        for shot in shots:
            rows["train"].append(Row(f"bounding_box_train/0003_c1_{shot}.png", 3, 0))
            rows["gallery"].append(Row(f"bounding_box_test/0001_c2_{shot}.png", 1, 1))
        rows["query"].append(Row("query/0001_c1_9.png", 1, 0))
        write(root / variant, rows)
        if variant == asked:
            found = rows
    parts = {title: (f"{asked}/{folder}",) for title, (folder,) in MARKET_PARTS.items()}
    wrong = {title: f"{asked}/{path}" for title, path in MARKET_WRONG.items()}
    options = {"variant": asked}
    return Tree("cuhk", root, numbered(found), options=options, parts=parts, wrong=wrong, named="cuhk03-np")


def msmt(root: Path) -> Tree:
    """A folder a person, four lists whose labels are not to be trusted, person 0, two-digit cameras."""
    rows, lists = rows_of(), dict.fromkeys(("train", "val", "query", "gallery"), "")
    for pid in (0, 1, 11):
        for camera in (1, 15):
            for split in SPLITS:
                if split == "query" and camera == 15:
                    continue
                tree = "train" if split == "train" else "test"
                name = f"{pid:04d}/{pid:04d}_{len(split):03d}_{camera:02d}_0303noon_0015_0.jpg"
                rows[split].append(Row(f"{tree}/{name}", pid, camera - 1))
                listed = "val" if split == "train" and camera == 15 else split
                lists[listed] += f"{name} 77\n"
    write(root, rows)
    for title, text in lists.items():
        (root / f"list_{title}.txt").write_text(text)
    wrong = {"train": "train/0002/0002_c3s1_000001.jpg"}
    return Tree("msmt", root, numbered(rows), parts={"train": ("train",)}, wrong=wrong)


def prcc(root: Path) -> Tree:
    """The first letter, or for the test the folder above the person's, tells the camera; A and B saw one outfit."""
    rows = rows_of()
    for pid in (9, 100):
        for camid, camera in enumerate("ABC"):
            for shot in (1, 2):
                path = f"rgb/train/{pid:03d}/{camera}_cropped_rgb{shot:03d}.jpg"
                rows["train"].append(Row(path, pid, camid, (pid, camid // 2)))
    for pid in (3, 11):
        for camid, camera in enumerate("ABC"):
            path = f"rgb/test/{camera}/{pid:03d}/cropped_rgb001.jpg"
            rows["query" if camid else "gallery"].append(Row(path, pid, camid, (pid, camid // 2)))
    write(root, rows)
    picture(root / "rgb" / "val" / "009" / "A_cropped_rgb777.jpg")
    picture(root / "sketch" / "train" / "009" / "A.jpg")
    parts = {"train": ("rgb/train",), "query": ("rgb/test/B", "rgb/test/C"), "gallery": ("rgb/test/A",)}
    wrong = {"train": "rgb/train/100/D_1.jpg", "query": "rgb/test/B/x/1.jpg", "gallery": "rgb/test/A/1.jpg"}
    return Tree("prcc", root, numbered(rows), "cloth-changing", parts=parts, wrong=wrong, named="prcc-cc")


def ltcc(root: Path) -> Tree:
    """Twelve cameras, person 0, outfits 1, 2 and 10 of each person; the gallery is called test."""
    rows = rows_of()
    for pid in (0, 2, 94):
        for outfit in (1, 2, 10):
            camera = outfit + 2
            name = f"{pid:03d}_{outfit}_c{camera}_{pid * 100 + outfit:06d}.png"
            rows["train"].append(Row(f"train/{name}", pid, camera - 1, (pid, outfit)))
            rows["gallery"].append(Row(f"test/{name}", pid, camera - 1, (pid, outfit)))
        rows["query"].append(Row(f"query/{pid:03d}_2_c1_015833.png", pid, 0, (pid, 2)))
    write(root, rows)
    parts = {"train": ("train",), "query": ("query",), "gallery": ("test",)}
    wrong = {"train": "train/002_c1_1.png", "query": "query/a_1_002_1_c1_1.png", "gallery": "test/002_1_c0_1.png"}
    return Tree("ltcc", root, numbered(rows), "cloth-changing", parts=parts, wrong=wrong)


def csv(root: Path) -> Tree:
    """A table in another order with a byte-order mark, an unknown camera, and one number of outfit for both people."""
    rows, lines = rows_of(), ["split,path,clothes,camid,pid"]
    for pid in (4, 40):
        for place, title in enumerate(SPLITS):
            path = f"{'deep/er/' if title == 'train' else ''}{title}{pid}.png"
            rows[title].append(Row(path, pid, place - 1, (pid, 5)))
            lines.append(f"{title},{path},5,{place - 1 if place else ''},{pid}")
    write(root, rows)
    (root / "mine.csv").write_text("\ufeff" + "\r\n".join(lines) + "\r\n", encoding="utf-8")
    told = {
        title: [(row.path, row.pid, row.camid, (4, 40).index(row.pid)) for row in sorted(rows[title])]
        for title in SPLITS
    }  # numbered over the whole table
    return Tree("csv", root, told)


def folders(root: Path) -> Tree:
    """People by name and cameras by number."""
    rows, people = rows_of(), ["anna", "bob", "carl"]
    for title, camera in zip(SPLITS, (1, 1, 2), strict=True):
        for pid, person in enumerate(people):
            rows[title].append(Row(f"{title}/{person}/{camera}/0009_c4s1.jpg", pid, camera))
    write(root, rows)
    parts = {title: (title,) for title in SPLITS}
    wrong = {title: f"{title}/loose.jpg" for title in SPLITS}
    return Tree("folders", root, numbered(rows), parts=parts, wrong=wrong)


def street(root: Path) -> Tree:
    """Procedural people, written as Market-1501 is."""
    write_street(root, StreetConfig(identities=4, cameras=2, shots=2, height=32, width=16))
    rows = rows_of()
    for title, (folder,) in MARKET_PARTS.items():
        for file in sorted((root / folder).iterdir()):
            pid, seen = file.name.split("_")[:2]
            rows[title].append(Row(f"{folder}/{file.name}", int(pid), int(seen[1 : seen.index("s")]) - 1))
    return Tree("street", root, numbered(rows))


def celeb(root: Path) -> Tree:
    """Nothing but the person is told; people of the test have the numbers of training people."""
    return _celeb(root, "full")


def celeb_light(root: Path) -> Tree:
    """The smaller one."""
    return _celeb(root, "light")


def _celeb(root: Path, variant: str) -> Tree:
    rows = rows_of()
    for pid in (1, 2, 632):
        for index in (1, 10, 200):
            title = "query" if index == 10 else "gallery"
            rows["train"].append(Row(f"train/{pid}_{index}_0.jpg", pid))
            rows[title].append(Row(f"{title}/{pid}_{index}_2.jpg", pid))
    write(root, rows)
    parts = {title: (title,) for title in SPLITS}
    wrong = {"train": "train/2022_12.jpg", "query": "query/x1_2_0.jpg", "gallery": "gallery/1-2-0.jpg"}
    return Tree("celeb", root, numbered(rows), "no-camera", {"variant": variant}, parts, wrong, "celeb")


def last(root: Path) -> Tree:
    """Outfits in train alone, the last field of a name; query flat, gallery with a folder a person."""
    return _last(root, "test")


def last_val(root: Path) -> Tree:
    """Its validation people."""
    return _last(root, "val")


def _last(root: Path, asked: str) -> Tree:
    found = rows_of()
    for variant, people in (("val", (3, 40)), ("test", (3, 41, 500))):
        rows = rows_of()
        for pid in people:
            rows["query"].append(Row(f"{variant}/query/{pid:06d}_s01_001_02.jpg", pid))
            for shot in (1, 2):
                rows["gallery"].append(Row(f"{variant}/gallery/{pid:06d}/{pid:06d}_s01_{shot:03d}_03.jpg", pid))
        write(root, rows)
        if variant == asked:
            found = rows
    for pid in (0, 17):
        for outfit in (2, 1, 11):
            path = f"train/{pid:06d}/{pid:06d}_film_{outfit * 7:03d}_{outfit:02d}.jpg"
            found["train"].append(Row(path, pid, -1, (pid, outfit)))
    write(root, found)
    parts = {"train": ("train",), **{title: (f"{asked}/{title}",) for title in SPLITS[1:]}}
    wrong = {title: f"{folder}/x3_1_2.jpg" for title, (folder,) in parts.items()}
    return Tree("last", root, numbered(found), "no-camera", {"variant": asked}, parts, wrong, "last")


def vcclothes(root: Path) -> Tree:
    """Four cameras; between the third and the fourth people change."""
    return _vcclothes(root, "all", (1, 2, 3, 4))


def vcclothes_sc(root: Path) -> Tree:
    """Only the cameras between which nobody changes, for the test."""
    return _vcclothes(root, "sc", (2, 3))


def vcclothes_cc(root: Path) -> Tree:
    """Only the cameras between which everybody changes, for the test."""
    return _vcclothes(root, "cc", (3, 4))


def _vcclothes(root: Path, variant: str, kept: tuple[int, ...]) -> Tree:
    rows, seen = rows_of(), set[str]()
    for pid in (7, 12, 256):
        for camera in (1, 2, 3, 4):
            outfit = {1: 3, 2: 1, 3: 1, 4: 2}[camera]
            for title in SPLITS:
                path = f"{title}/{pid:04d}-{camera:02d}-{outfit:02d}-{len(title):02d}.jpg"
                rows[title].append(Row(path, pid, camera - 1, (pid, outfit)))
                if title == "train" or camera in kept:
                    seen.add(path)
    write(root, rows)
    # An outfit has the same number in every variant.
    found = {title: [row for row in told if row[0] in seen] for title, told in numbered(rows).items()}
    parts = {title: (title,) for title in SPLITS}
    wrong = {"train": "train/7-1-1.jpg", "query": "query/0007_c1s1_1.jpg", "gallery": "gallery/7-0-1-1.jpg"}
    named = "vcclothes" if variant == "all" else f"vcclothes-{variant}"
    return Tree("vcclothes", root, found, "market", {"variant": variant}, parts, wrong, named)


def deepchange(root: Path) -> Tree:
    """Lists tell the tracklet, which stands for the camera in the test; several tracklets of one camera."""
    return _deepchange(root, "test")


def deepchange_val(root: Path) -> Tree:
    """Its validation people."""
    return _deepchange(root, "val")


def _deepchange(root: Path, asked: str) -> Tree:
    found = rows_of()
    lines: dict[str, list[str]] = {}
    for pid in (1, 20, 1100):
        for camera in (2, 17):
            for shot, title in enumerate(("train", "query", "gallery", "gallery")):
                for variant in ("test", "val"):
                    folder = "train-set" if title == "train" else f"{variant}-set-{title}"
                    if title == "train" and variant == "val":
                        continue
                    outfit, tracklet = camera + shot, pid * 100 + camera * 2 + shot // 3
                    name = f"P{pid}_C{camera}_{outfit}_{variant}{shot}.jpg"
                    lines.setdefault(folder, []).append(f"{name},{tracklet},10,20,30,40")
                    camid = camera - 1 if title == "train" else tracklet
                    row = Row(f"{folder}/{name}", pid, camid, (pid, outfit))
                    if title == "train" or variant == asked:
                        found[title].append(row)
                    picture(root / row.path)
    write(root, found)
    for folder, told in lines.items():
        (root / f"{folder}-bbox.txt").write_text("\n".join(reversed(told)) + "\n\n")
        picture(root / folder / "P1_C2_1_unlisted.jpg")
    folders_of = {"train": "train-set", "query": f"{asked}-set-query", "gallery": f"{asked}-set-gallery"}
    parts = {title: (folder, f"{folder}-bbox.txt") for title, folder in folders_of.items()}
    return Tree("deepchange", root, numbered(found), "market", {"variant": asked}, parts, named="deepchange")


def p_duke(root: Path) -> Tree:
    """Hidden and whole people, a folder a person; cameras are told and not judged by."""
    rows = rows_of()
    for pid in (1, 30):
        for camera in (1, 8):
            for kind, title in (("occluded_body_images", "query"), ("whole_body_images", "gallery")):
                name = f"{pid:04d}/{pid:04d}_c{camera}_f{camera * 1111:07d}.jpg"
                rows["train"].append(Row(f"train/{kind}/{name}", pid, camera - 1))
                rows[title].append(Row(f"test/{kind}/{name}", pid, camera - 1))
    for kind, title in (("occluded_body_images", "query"), ("whole_body_images", "gallery")):
        rows[title].append(Row(f"test/{kind}/0500/0500_17.jpg", 500))
    write(root, rows)
    parts = {
        "train": ("train",),
        "query": ("test/occluded_body_images",),
        "gallery": ("test/whole_body_images",),
    }
    wrong = {title: f"{folder}/0001/x.jpg" for title, (folder,) in parts.items()}
    return Tree("p-duke", root, numbered(rows), "no-camera", parts=parts, wrong=wrong, named="p-duke")


def occluded_reid(root: Path) -> Tree:
    """TIFF, five pictures of each kind, nothing to train on."""
    rows = rows_of()
    for pid in (1, 23, 200):
        for shot in range(1, 6):
            name = f"{pid:03d}/{pid:03d}_{shot:02d}.tif"
            rows["query"].append(Row(f"occluded_body_images/{name}", pid))
            rows["gallery"].append(Row(f"whole_body_images/{name}", pid))
    write(root, rows)
    parts = {"query": ("occluded_body_images",), "gallery": ("whole_body_images",)}
    wrong = {"query": "occluded_body_images/001/one.tif", "gallery": "whole_body_images/001/001.tif"}
    return Tree("occluded-reid", root, numbered(rows), "no-camera", {"variant": "all"}, parts, wrong, "occluded-reid")


def occluded_reid_half(root: Path) -> Tree:
    """Divided and renamed: what the names call cameras are the two kinds."""
    rows = rows_of()
    for pid in (1, 23):
        for kind in (1, 2):
            rows["train"].append(Row(f"train/{pid:04d}_c{kind}_01.tif", pid))
        rows["query"].append(Row(f"query/{pid + 100:04d}_c1_01.tif", pid + 100))
        rows["gallery"].append(Row(f"test/{pid + 100:04d}_c2_01.tif", pid + 100))
    write(root, rows)
    parts = {"train": ("train",), "query": ("query",), "gallery": ("test",)}
    wrong = {title: f"{folder}/001_01.tif" for title, (folder,) in parts.items()}
    options = {"variant": "half"}
    return Tree("occluded-reid", root, numbered(rows), "no-camera", options, parts, wrong, "occluded-reid-half")


def partitions(root: Path) -> Tree:
    """Everything in one folder, and a pickle of protocol 2 that says what is what."""
    return _partitions(root, "test")


def partitions_val(root: Path) -> Tree:
    """The training people divided once more."""
    return _partitions(root, "val")


def _partitions(root: Path, asked: str) -> Tree:
    rows, names = rows_of(), {f"{title}_im_names": list[str]() for title in ("train", "trainval", "val", "test")}
    marks: dict[str, list[int]] = {"val_marks": [], "test_marks": []}
    for pid in (2, 7, 9, 1, 3, 0):
        variant = {2: "train", 7: "train", 9: "val"}.get(pid, "test")
        for camera in (1, 12):
            for shot in range(3):
                name = f"{pid:08d}_{camera:04d}_{shot:08d}.jpg"
                row = Row(f"images/{name}", pid, camera)
                picture(root / row.path)
                names[f"{variant}_im_names"].append(name)
                if variant != "test":
                    names["trainval_im_names"].append(name)
                    if asked == "test" or variant == "train":
                        rows["train"].append(row)
                if variant == "train":
                    continue
                mark = 1 if pid == 0 else (0, 1, 2)[shot]  # nobody asks for person 0
                marks[f"{variant}_marks"].append(mark)
                if variant == asked and mark < 2:
                    rows["gallery" if mark else "query"].append(row)
    labels = {"trainval_ids2labels": {2: 0, 7: 1, 9: 2}, "train_ids2labels": {2: 0, 7: 1}}
    (root / "partitions.pkl").write_bytes(pickle.dumps({**names, **marks, **labels}, protocol=2))
    return Tree("partitions", root, numbered(rows), options={"variant": asked})


def pattern(root: Path) -> Tree:
    """Somebody's own names, in sub-folders whose names would fit too; people by name, cameras and clothes by letter."""
    rows = rows_of()
    for pid, person in enumerate(("anna", "bob", "carl")):
        for camid, camera in enumerate("LR"):
            for outfit, clothes in enumerate(("blue", "red")):
                name = f"zoe-X-none/{person}-{camera}-{clothes}-{pid}.png"
                worn = (pid, outfit)
                rows["train"].append(Row(f"train/{name}", pid, camid, worn))
                rows["gallery" if camid else "query"].append(
                    Row(f"{'gallery' if camid else 'query'}/{name}", pid, camid, worn)
                )
    write(root, rows)
    parts = {title: (title,) for title in SPLITS}
    wrong = {title: f"{title}/Anna.png" for title in SPLITS}
    options = {"pattern": r"(?P<pid>[a-z]+)-(?P<cam>[A-Z])-(?P<clothes>\w+)"}
    return Tree("pattern", root, numbered(rows), "market", options, parts, wrong)


TREES: dict[str, Callable[[Path], Tree]] = {
    tree.__name__: tree
    for tree in (
        market,
        duke,
        occluded_duke,
        occluded_duke_lists,
        cuhk,
        cuhk_labeled,
        msmt,
        prcc,
        ltcc,
        csv,
        folders,
        street,
        celeb,
        celeb_light,
        last,
        last_val,
        vcclothes,
        vcclothes_sc,
        vcclothes_cc,
        deepchange,
        deepchange_val,
        p_duke,
        occluded_reid,
        occluded_reid_half,
        partitions,
        partitions_val,
        pattern,
    )
}
