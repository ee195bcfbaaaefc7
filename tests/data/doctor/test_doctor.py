"""Trees that are broken in one way each: the doctor names the file or person, with the right severity, and no more."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from common.errors import UserError
from data.doctor.case import open_case
from data.doctor.checks import CHECKS
from data.readers import market
from data.samples import Counts
from tests.data.doctor.trees import Doctor, Word, csv_tree, drawn, market_name, msmt_name, msmt_tree, save, tree

TRAIN, QUERY, GALLERY = "bounding_box_train", "query", "bounding_box_test"
Rows = list[list[str]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tree(tmp_path / "mine", market_name)


def only(word: Word, severity: str, kind: str) -> dict[str, Any]:
    """The one finding there is."""
    assert word.kinds == [kind]
    finding = word.finding(kind)
    assert finding["severity"] == severity
    assert word.status == (1 if severity == "problem" else 0)
    assert word.report["healthy"] is (severity != "problem")
    assert all(finding[part] for part in ("what", "why", "do"))
    return finding


def test_a_healthy_tree(doctor: Doctor, root: Path) -> None:
    word = doctor("mine", root)
    assert (word.status, word.report["healthy"], word.kinds) == (0, True, [])
    assert word.report["looked_into"] == 24
    train = word.report["splits"][0]
    assert (train["images"], train["identities"], train["cameras"]) == (12, 3, 2)
    assert train["smallest"] == train["median"] == train["largest"] == [64, 32]


@pytest.mark.parametrize(("dataset", "make"), [("csv", csv_tree), ("msmt", msmt_tree)])
def test_other_readers(doctor: Doctor, tmp_path: Path, dataset: str, make: Any) -> None:
    word = doctor(dataset, make(tmp_path / "data"))
    assert [kind for kind in word.kinds if kind != "fewer-than-published"] == []
    assert word.report["reader"] == dataset


def test_folders(doctor: Doctor, tmp_path: Path) -> None:
    """One picture is query and gallery by design there; that is no finding."""
    root = tree(tmp_path / "data", lambda person, camera, shot: f"{person}/{camera}/{shot}.jpg")
    (root / "1" / "0" / "0.jpg").unlink()
    assert doctor("folders", root).kinds == []
    (root / "4" / "0" / "0.jpg").unlink()
    assert doctor("folders", root).kinds == []


def test_the_street(doctor: Doctor, street: Path) -> None:
    """Its truth lies beside its pictures and is known."""
    word = doctor("street", street)
    assert word.status == 0
    assert "unread-files" not in word.kinds


def test_missing_split(doctor: Doctor, root: Path) -> None:
    shutil.rmtree(root / TRAIN)
    finding = only(doctor("mine", root), "warning", "missing-split")
    assert finding["items"] == [{"names": ["train"], "about": "bounding_box_train/ is not there or is empty"}]


def test_missing_split_of_a_published_set(doctor: Doctor, root: Path) -> None:
    shutil.rmtree(root / QUERY)
    word = doctor("market", root)
    assert word.finding("missing-split")["severity"] == "problem"
    assert word.names("missing-split") == [["query"]]


def test_missing_gallery_is_refused(doctor: Doctor, root: Path) -> None:
    shutil.rmtree(root / GALLERY)
    word = doctor("mine", root)
    finding = only(word, "problem", "refused")
    assert "8 query pictures" not in finding["what"]
    assert "6 query pictures but no gallery" in finding["what"]
    assert [split["title"] for split in word.report["splits"]] == ["train", "query"]


def test_counts(doctor: Doctor, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = {"train": Counts(12, 3), "query": Counts(6, 3), "gallery": Counts(6, 3)}
    monkeypatch.setitem(market.PUBLISHED, "mine", counts)
    assert doctor("mine", root).kinds == []
    (root / market_name(3, 0, 1)).unlink()
    finding = doctor("mine", root).finding("fewer-than-published")
    assert finding["severity"] == "problem"
    assert finding["items"] == [{"names": ["gallery"], "about": "5 of 6 pictures and 3 of 3 people"}]
    save(root / market_name(3, 0, 1), drawn(3, 0, 1))
    save(root / TRAIN / "0001_c2s1_000009_00.jpg", drawn(1, 1, 9))
    finding = only(doctor("mine", root), "warning", "more-than-published")
    assert finding["items"] == [{"names": ["train"], "about": "13 of 12 pictures and 3 of 3 people"}]


def test_another_dataset_in_the_folders_of_market(doctor: Doctor, root: Path) -> None:
    """The name alone asks for the published counts; the remedy is a line that does as it says."""
    remedy = doctor("market", root).finding("fewer-than-published")["do"]
    assert remedy.endswith(f"NAME: {{reader: market, root: {root}, variant: none}}")
    doctor.catalog.write_text(remedy.rpartition("yml: ")[2].replace("NAME", "market") + "\n")
    assert doctor("market", root).kinds == []


def test_counts_of_a_layout_that_one_dataset_has(doctor: Doctor, tmp_path: Path) -> None:
    """Another name would not help there, and is not advised."""
    remedy = doctor("msmt", msmt_tree(tmp_path / "data")).finding("fewer-than-published")["do"]
    assert remedy == "download or unpack it again"


def test_msmt_lists_of_another_version(doctor: Doctor, tmp_path: Path) -> None:
    root = msmt_tree(tmp_path / "data", ("mask_train_v2", "mask_test_v2"))
    for file in ("query", "gallery", "train"):
        path = root / f"list_{file}.txt"
        path.write_text(path.read_text().replace("_0.jpg", "_0_ex.jpg"))
    word = doctor("msmt", root)
    assert word.status == 1
    finding = word.finding("listed-but-missing")
    assert finding["severity"] == "problem"
    assert finding["what"] == (
        "pictures that the lists name and mask_train_v2/ does not have: 12 of 12, among them all of 3 people"
    )
    assert "do not belong together" in finding["why"]
    assert finding["items"][0]["names"] == ["mask_train_v2/0000/0000_000_01_0303morning_0000_0_ex.jpg"]
    assert finding["items"][0]["about"] == "named in list_train.txt"
    assert word.finding("refused")["severity"] == "problem"
    assert word.finding("version-2")["severity"] == "warning"


def test_msmt_missing_part(doctor: Doctor, tmp_path: Path) -> None:
    root = msmt_tree(tmp_path / "data")
    (root / msmt_name(1, 0, 0)).unlink()
    finding = doctor("msmt", root).finding("listed-but-missing")
    assert finding["what"] == "pictures that the lists name and train/ does not have: 1 of 12"
    save(root / msmt_name(1, 0, 0), drawn(1, 0, 0))
    shutil.rmtree(root / "train" / "0002")
    word = doctor("msmt", root)
    finding = word.finding("listed-but-missing")
    assert (
        finding["what"] == "pictures that the lists name and train/ does not have: 4 of 12, among them all of 1 people"
    )
    assert ["train/0002/0002_001_02_0303morning_0001_0.jpg"] in word.names("listed-but-missing")


def test_msmt_halves_of_two_versions(doctor: Doctor, tmp_path: Path) -> None:
    root = msmt_tree(tmp_path / "data", ("train", "mask_test_v2"))
    word = doctor("msmt", root)
    assert word.names("mixed-versions") == [["train/"], ["mask_test_v2/"]]
    assert word.finding("mixed-versions")["severity"] == "problem"


def test_msmt_missing_list(doctor: Doctor, tmp_path: Path) -> None:
    root = msmt_tree(tmp_path / "data")
    (root / "list_gallery.txt").unlink()
    assert doctor("msmt", root).names("missing-list") == [["list_gallery.txt"]]


def test_msmt_people_may_have_the_same_numbers(doctor: Doctor, tmp_path: Path) -> None:
    """Train and test both count from 0; copies across them are told all the same."""
    root = msmt_tree(tmp_path / "data")
    shutil.copy(root / msmt_name(0, 0, 0), root / msmt_name(3, 0, 0))
    word = doctor("msmt", root)
    assert "identity-overlap" not in word.kinds
    assert word.names("duplicate-across-train-test") == [[msmt_name(3, 0, 0), msmt_name(0, 0, 0)]]
    save(root / msmt_name(3, 0, 0), drawn(0, 0, 0), quality=60)
    assert doctor("msmt", root).names("near-duplicate-across-train-test") == [[msmt_name(3, 0, 0), msmt_name(0, 0, 0)]]


def test_extra_files(doctor: Doctor, root: Path) -> None:
    save(root / GALLERY / "more" / "0003_c1s1_000007_00.jpg", drawn(3, 0, 7))
    (root / "readme.txt").write_text("hello")
    (root / QUERY / "Thumbs.db").write_text("")
    word = doctor("mine", root)
    assert word.names("extra-pictures") == [["bounding_box_test/more/0003_c1s1_000007_00.jpg"]]
    assert word.finding("extra-pictures")["severity"] == "warning"
    assert word.names("unread-files") == [["query/Thumbs.db"], ["readme.txt"]]
    assert word.finding("unread-files")["severity"] == "note"
    assert word.status == 0


def test_nobody(doctor: Doctor, root: Path) -> None:
    save(root / GALLERY / "-1_c1s1_000007_00.jpg", drawn(9, 0, 7))
    finding = only(doctor("mine", root), "note", "identity-unknown")
    assert finding["items"][0]["names"] == ["bounding_box_test/-1_c1s1_000007_00.jpg"]


def break_file(path: Path, how: str) -> None:
    if how == "empty":
        path.write_bytes(b"")
    elif how == "broken":
        path.write_bytes(path.read_bytes()[:-60])
    elif how == "short":
        path.write_bytes(path.read_bytes()[:-10] + bytes(10))
    elif how == "no-picture":
        path.write_text("<!DOCTYPE html>")
    elif how == "one-colour":
        save(path, Image.new("RGB", (32, 64), (10, 20, 30)))
    elif how == "tiny":
        save(path, drawn(0, 0, 0, (24, 8)))
    elif how == "wide":
        save(path, drawn(0, 0, 0, (40, 60)))
    elif how == "slender":
        save(path, drawn(0, 0, 0, (120, 16)))
    elif how == "grey":
        save(path, drawn(0, 0, 0).convert("L"))
    elif how == "turned":
        exif = Image.Exif()
        exif[0x0112] = 6
        save(path, drawn(0, 0, 0, (32, 64)), exif=exif)
    elif how == "unreadable":
        path.chmod(0)


@pytest.mark.parametrize(
    ("how", "severity", "about"),
    [
        ("empty", "problem", "0 bytes"),
        ("broken", "problem", "truncated"),
        ("no-picture", "problem", "a web page"),
        ("short", "warning", "its end is missing"),
        ("one-colour", "problem", "red, green, blue 10, 20, 30"),
        ("tiny", "warning", "24 x 8"),
        ("wide", "note", "40 x 60"),
        ("slender", "note", "120 x 16"),
        ("grey", "note", "train, person 0"),
        ("turned", "note", "64 x 32"),
        pytest.param(
            "unreadable", "problem", "Permission denied",
            marks=pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything"),
        ),
    ],
)  # fmt: skip
def test_a_broken_picture(doctor: Doctor, root: Path, how: str, severity: str, about: str) -> None:
    name = market_name(0, 0, 0)
    break_file(root / name, how)
    (item,) = only(doctor("mine", root), severity, how)["items"]
    assert item["names"] == [name]
    assert about in item["about"]
    status, out, _ = doctor.said("mine", root)
    assert name in out
    assert status == (severity == "problem")


def test_a_file_that_may_not_be_read(doctor: Doctor, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = Path.read_bytes

    def refused(path: Path) -> bytes:
        if path.name == "0000_c1s1_000000_00.jpg":
            raise PermissionError(13, "Permission denied")
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refused)
    finding = only(doctor("mine", root), "problem", "unreadable")
    assert finding["items"] == [{"names": [market_name(0, 0, 0)], "about": "train, person 0; Permission denied"}]


def test_exact_duplicate_across_train_and_test(doctor: Doctor, root: Path) -> None:
    shutil.copy(root / market_name(4, 0, 1), root / market_name(1, 0, 1))
    finding = only(doctor("mine", root), "problem", "duplicate-across-train-test")
    assert finding["items"] == [
        {
            "names": [market_name(4, 0, 1), market_name(1, 0, 1)],
            "about": "gallery, person 4 = train, person 1",
        }
    ]
    assert finding["what"] == "the same picture in train and test: 1 picture in 2 files"


@pytest.mark.parametrize(("one", "other"), [((0, 0, 0), (1, 1, 1)), ((3, 0, 0), (4, 1, 1))])
def test_exact_duplicate_across_identities(doctor: Doctor, root: Path, one: Any, other: Any) -> None:
    shutil.copy(root / market_name(*one), root / market_name(*other))
    word = doctor("mine", root)
    only(word, "problem", "duplicate-across-identities")
    assert sorted(word.names("duplicate-across-identities")[0]) == sorted([market_name(*one), market_name(*other)])


def test_duplicates_of_one_person(doctor: Doctor, root: Path) -> None:
    shutil.copy(root / market_name(0, 0, 0), root / market_name(0, 0, 1))
    only(doctor("mine", root), "warning", "duplicate-within-split")
    save(root / market_name(0, 0, 1), drawn(0, 0, 1))
    shutil.copy(root / market_name(3, 0, 0), root / market_name(3, 0, 1))
    only(doctor("mine", root), "note", "duplicate-query-in-gallery")
    save(root / market_name(3, 0, 1), drawn(3, 0, 1))
    shutil.copy(root / market_name(3, 0, 0), root / market_name(3, 1, 1))
    only(doctor("mine", root), "problem", "duplicate-query-finds-itself")


def test_one_file_in_two_splits_of_a_table(doctor: Doctor, tmp_path: Path) -> None:
    root = csv_tree(tmp_path / "data", lambda rows: [*rows, ["3_0_0.jpg", "77", "1", "train", ""]])
    word = doctor("csv", root)
    assert word.names("duplicate-across-train-test") == [["3_0_0.jpg"]]


def test_near_duplicate_across_identities(doctor: Doctor, root: Path) -> None:
    save(root / market_name(1, 0, 0), drawn(0, 0, 0), quality=60)
    finding = only(doctor("mine", root), "warning", "near-duplicate-across-identities")
    assert finding["items"][0]["names"] == [market_name(0, 0, 0), market_name(1, 0, 0)]
    assert "train, person 0 ~ train, person 1" in finding["items"][0]["about"]


def test_near_duplicate_across_train_and_test(doctor: Doctor, root: Path) -> None:
    save(root / market_name(4, 0, 0), drawn(0, 0, 0, (128, 64)))
    finding = only(doctor("mine", root), "warning", "near-duplicate-across-train-test")
    assert sorted(finding["items"][0]["names"]) == sorted([market_name(0, 0, 0), market_name(4, 0, 0)])


def test_near_duplicates_of_one_person_are_frames(doctor: Doctor, root: Path) -> None:
    save(root / market_name(0, 0, 1), drawn(0, 0, 0), quality=60)
    save(root / market_name(3, 0, 1), drawn(3, 0, 0), quality=60)
    assert doctor("mine", root).kinds == []


def test_overlap_of_identities(doctor: Doctor, root: Path) -> None:
    save(root / TRAIN / "0004_c1s1_000009_00.jpg", drawn(4, 0, 9))
    save(root / TRAIN / "0004_c2s1_000009_00.jpg", drawn(4, 1, 9))
    finding = only(doctor("mine", root), "problem", "identity-overlap")
    assert finding["what"] == "test people who are in train too: 1 of 3"
    assert finding["items"] == [{"names": ["person 4"], "about": "2 pictures in train, 4 in query and gallery"}]


def test_query_of_nobody(doctor: Doctor, root: Path) -> None:
    save(root / QUERY / "0009_c1s1_000000_00.jpg", drawn(9, 0, 0))
    finding = only(doctor("mine", root), "warning", "query-absent-from-gallery")
    assert finding["what"] == "queries whose person is not in the gallery: 1 of 7 (protocol market)"
    assert finding["items"][0]["names"] == ["query/0009_c1s1_000000_00.jpg"]


def test_query_without_another_camera(doctor: Doctor, root: Path) -> None:
    (root / market_name(3, 1, 1)).unlink()
    finding = only(doctor("mine", root), "warning", "query-no-other-camera")
    assert finding["items"] == [{"names": [market_name(3, 0, 0)], "about": "query, person 3"}]


def test_most_queries_without_positive(doctor: Doctor, root: Path) -> None:
    for person, camera in ((3, 0), (3, 1), (4, 0), (4, 1)):
        (root / market_name(person, camera, 1)).unlink()
    only(doctor("mine", root), "problem", "query-absent-from-gallery")


def test_queries_in_the_same_clothes(doctor: Doctor, tmp_path: Path) -> None:
    def name(person: int, camera: int, shot: int) -> str:
        folder = {"train": "train", "query": "query", "gallery": "test"}["train" if person < 3 else "gallery"]
        outfit = 1 if person == 3 else camera + 1
        return f"{folder}/{person:03d}_{outfit}_c{camera + 1}_{shot:06d}.png"

    root = tree(tmp_path / "data", name)
    for person in (3, 4):
        outfit = 1 if person == 3 else 3
        save(root / "query" / f"{person:03d}_{outfit}_c3_000009.png", drawn(person, 2, 9))
    doctor.catalog.write_text("mine: {reader: ltcc}\n")
    word = doctor("mine", root)
    assert word.report["protocol"] == "cloth-changing"
    assert word.names("query-no-other-clothes") == [["query/003_1_c3_000009.png"]]
    assert word.finding("query-no-other-clothes")["severity"] == "note"


def test_one_camera_only(doctor: Doctor, tmp_path: Path) -> None:
    root = tree(tmp_path / "data", lambda person, _, shot: market_name(person, 0, shot))
    word = doctor("mine", root)
    assert word.kinds == ["refused", "query-no-other-camera", "one-camera"]
    assert (word.status, word.report["healthy"]) == (1, False)
    assert "every picture has camera 0" in word.finding("refused")["what"]
    assert len(word.names("query-no-other-camera")) == len(list((root / "query").iterdir()))


def test_one_camera_in_train(doctor: Doctor, root: Path) -> None:
    for person in range(3):
        for shot in range(2):
            (root / market_name(person, 1, shot)).unlink()
    finding = only(doctor("mine", root), "warning", "one-camera")
    assert finding["items"] == [{"names": ["train"], "about": "camera id 0"}]


def test_people_seen_by_one_camera_or_once(doctor: Doctor, root: Path) -> None:
    for shot in range(2):
        (root / market_name(2, 1, shot)).unlink()
    finding = only(doctor("mine", root), "note", "one-camera-each")
    assert finding["items"][0]["names"] == ["person 2"]
    (root / market_name(2, 0, 0)).unlink()
    word = doctor("mine", root)
    assert word.names("single-picture") == [["person 2"]]


def test_some_cameras_unknown(doctor: Doctor, tmp_path: Path) -> None:
    def without(rows: Rows) -> Rows:
        return [[*row[:2], "" if row[0] == "1_0_0.jpg" else row[2], *row[3:]] for row in rows]

    word = doctor("csv", csv_tree(tmp_path / "data", without))
    assert word.names("camera-partly-unknown") == [["1_0_0.jpg"]]


def test_a_table_that_is_refused(doctor: Doctor, tmp_path: Path) -> None:
    """The reader's sentence is the finding, and pictures are looked at all the same."""
    root = csv_tree(tmp_path / "data", lambda rows: [*rows, ["gone.jpg", "1", "1", "train", ""]])
    break_file(root / "1_0_0.jpg", "empty")
    shutil.copy(root / "2_0_0.jpg", root / "3_0_0.jpg")
    word = doctor("csv", root)
    assert word.kinds == ["refused", "empty", "duplicate-within-split"]
    assert "row 26: there is no picture" in word.finding("refused")["what"]
    assert word.names("empty") == [["1_0_0.jpg"]]


def test_what_is_no_dataset(doctor: Doctor, tmp_path: Path) -> None:
    holidays = tree(tmp_path / "holidays", lambda person, camera, shot: f"{person}{camera}{shot}.jpg")
    with pytest.raises(UserError, match=r"holidays does not hold bounding_box_train/"):
        doctor.said("mine", holidays)
    with pytest.raises(UserError, match=r"nowhere does not exist"):
        doctor.said("mine", tmp_path / "nowhere")
    (tmp_path / "empty" / TRAIN).mkdir(parents=True)
    with pytest.raises(UserError, match=r"holds no pictures of known people"):
        doctor.said("mine", tmp_path / "empty")


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_no_check_needs_pixels_or_labels(check: Any, root: Path, doctor: Doctor) -> None:
    """With --quick there are no looks, of a refused dataset no labels."""
    assert list(check(open_case("mine", root, doctor.catalog))) == []
    shutil.rmtree(root / GALLERY)
    kinds = [finding.kind for finding in check(open_case("mine", root, doctor.catalog))]
    assert kinds == (["refused"] if check.__name__ == "refusal" else [])


def test_many_extra_files_are_grouped(doctor: Doctor, root: Path) -> None:
    for number in range(7):
        save(root / "gt_bbox" / f"{number}.jpg", drawn(9, 0, number))
    (root / "readme.txt").write_text("hello")
    finding = only(doctor("mine", root), "note", "unread-files")
    assert finding["what"] == "other files that are not read: 8; gt_bbox/ (7 .jpg), readme.txt"
    assert len(finding["items"]) == 8
