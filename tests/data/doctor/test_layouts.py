"""Every dataset of the field, as its authors lay it out: the doctor calls it healthy and says of it what is true."""

from __future__ import annotations

import os
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from common.errors import UserError
from data.doctor.command import main
from data.doctor.layouts import LAYOUTS, VARIANTS
from data.readers import READERS, read
from data.samples import Counts, Dataset
from tests.data.doctor.trees import Doctor, drawn, paint, save
from tests.data.trees import TREES, Tree

LITTER = {"unread-files"}
"""Of the files that file browsers leave, which every tree but those of the street and of partitions has."""
ONE_CAMERA = {"one-camera"}
"""Trees whose queries come from one camera, as those of no real one do."""

KINDS: dict[str, set[str]] = {
    "market": LITTER | ONE_CAMERA | {"extra-pictures", "identity-unknown"},
    "duke": LITTER | ONE_CAMERA,
    "occluded_duke": LITTER | ONE_CAMERA,
    "occluded_duke_lists": LITTER | ONE_CAMERA | {"left-out"},
    "cuhk": LITTER | ONE_CAMERA | {"left-out"},
    "cuhk_labeled": LITTER | ONE_CAMERA | {"left-out"},
    "msmt": LITTER | ONE_CAMERA,
    "prcc": LITTER | {"left-out"},
    "street": set(),
    "celeb": LITTER,
    "celeb_light": LITTER,
    "last": LITTER | {"left-out"},
    "last_val": LITTER | {"left-out"},
    "vcclothes": LITTER,
    "vcclothes_sc": LITTER | {"left-out"},
    "vcclothes_cc": LITTER | {"left-out"},
    "deepchange": LITTER | {"left-out", "extra-pictures"},  # pictures that no list names
    "deepchange_val": LITTER | {"left-out", "extra-pictures"},
    "p_duke": LITTER,
    "occluded_reid": LITTER,
    "occluded_reid_half": LITTER,
    "partitions": {"left-out"},
    "partitions_val": {"left-out"},
}
"""What is to be said of each tree: notes, and warnings where the tree is as odd as told above."""

OVERLAPPING: dict[str, set[str]] = {
    "ltcc": LITTER | ONE_CAMERA,
    "csv": LITTER | ONE_CAMERA | {"single-picture", "camera-partly-unknown"},
    "folders": LITTER | ONE_CAMERA | {"single-picture"},
    "pattern": LITTER | ONE_CAMERA,
}
"""These trees give people of train and test the same numbers, which in these layouts means the same person: the doctor
is right to call them unhealthy, and that is all that is wrong with them."""

FOREIGN = [title for title in TREES if title != "folders"]  # to that reader any folders are people


@pytest.fixture(autouse=True)
def _published(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever has published counts has these counts."""

    def counted(reader: str, root: Path, name: str, **options: object) -> Dataset:
        dataset = read(reader, root, name, **options)
        sizes = {title: (len(split), split.identities) for title, split in dataset.splits.items()}
        return replace(dataset, published={title: Counts(*sizes[title]) for title in dataset.published})

    monkeypatch.setattr("data.catalog.read", counted)


@pytest.fixture
def made(doctor: Doctor, tmp_path: Path, request: pytest.FixtureRequest) -> Tree:
    """The tree that a test names; the doctor knows it as `mine`."""
    tree = TREES[request.param](tmp_path / "here")
    if tree.reader != "street":
        paint(tree.root)
    options = "".join(f", {key}: '{value}'" for key, value in tree.options.items())
    doctor.catalog.write_text(f"mine: {{reader: {tree.reader}{options}}}\n")
    return tree


def of(*titles: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("made", titles, indirect=True)


def test_every_reader_has_a_layout() -> None:
    assert LAYOUTS.keys() == READERS.keys() - {"street"}
    assert {reader for reader, _ in VARIANTS} <= LAYOUTS.keys()
    assert KINDS.keys() | OVERLAPPING.keys() == TREES.keys()


@pytest.mark.parametrize(
    ("made", "kinds"), [pytest.param(title, kinds, id=title) for title, kinds in KINDS.items()], indirect=["made"]
)
def test_a_healthy_tree_of_every_dataset(doctor: Doctor, made: Tree, kinds: set[str]) -> None:
    word = doctor("mine", made.root)
    assert {*word.kinds} == kinds
    assert (word.status, word.report["healthy"]) == (0, True)
    assert doctor("mine", made.root, "--quick").report["healthy"]


@pytest.mark.parametrize(
    ("made", "kinds"), [pytest.param(title, kinds, id=title) for title, kinds in OVERLAPPING.items()], indirect=["made"]
)
def test_trees_whose_people_are_on_both_sides(doctor: Doctor, made: Tree, kinds: set[str]) -> None:
    word = doctor("mine", made.root)
    assert {*word.kinds} == kinds | {"identity-overlap"}
    assert word.report["counts"]["problem"] == 1


@of(*FOREIGN)
def test_a_folder_of_something_else_is_an_error(doctor: Doctor, made: Tree, tmp_path: Path) -> None:
    """Nothing is looked into there, and the sentence says this command's own option."""
    holidays = tmp_path / "holidays"
    shutil.copytree(TREES["folders"](tmp_path / "people").root / "train" / "anna" / "1", holidays / "sea")
    with pytest.raises(UserError, match=r"does not hold .* with --root /path/to/mine or in") as refused:
        doctor.said("mine", holidays)
    assert "data.root" not in str(refused.value)
    with pytest.raises(UserError, match=r"/nowhere does not exist \(named by --root\)"):
        doctor.said("mine", tmp_path / "nowhere")


@of("market", "celeb", "prcc", "deepchange", "last", "p_duke", "partitions")
def test_a_root_that_is_one_level_off(doctor: Doctor, made: Tree) -> None:
    with pytest.raises(UserError, match=rf"{made.root} does: give it with --root {made.root}$"):
        doctor.said("mine", made.root.parent)


@of(*(title for title in TREES if title not in ("csv", "street", "partitions", "partitions_val")))
def test_a_split_that_is_not_there(doctor: Doctor, made: Tree) -> None:
    """Whatever its folder is called, it is named, and what is missing by design is not."""
    split = "train" if "train" in made.parts else "query"
    for part in made.parts[split]:
        shutil.rmtree(made.root / part) if (made.root / part).is_dir() else (made.root / part).unlink()
    (item,) = doctor("mine", made.root, "--quick").finding("missing-split")["items"]
    assert item["names"] == [split]
    assert made.reader == "folders" or "is not there or is empty" in item["about"]


@of("occluded_reid")
def test_no_training_pictures_by_design(doctor: Doctor, made: Tree) -> None:
    assert "missing-split" not in doctor("mine", made.root).kinds
    for shot in (made.root / "occluded_body_images").rglob("*.tif"):
        shot.unlink()
    assert doctor("mine", made.root, "--quick").names("missing-split") == [["query"]]


@of("vcclothes_cc", "deepchange", "last", "cuhk", "prcc")
def test_what_is_left_out_on_purpose_is_told_apart(doctor: Doctor, made: Tree) -> None:
    """A stray picture is still told of, and nothing that is read is left out."""
    stray = {"deepchange": "train-set/P7.jpg", "cuhk": "detected/query/more/0001_c1_7.png", "prcc": "rgb/more/1.jpg"}
    path = stray.get(made.reader, "test/7.jpg" if made.reader == "last" else "query/more/7.jpg")
    save(made.root / path, drawn(7, 7, 7))
    word = doctor("mine", made.root, "--quick")
    finding = word.finding("left-out")
    assert (finding["severity"], finding["do"]) == ("note", "nothing")
    named = {name for (name,) in word.names("left-out")}
    above = "detected/" if made.reader == "cuhk" else ""
    assert not named & {above + read for rows in made.rows.values() for read, *_ in rows}
    assert path not in named
    assert [path] in word.names("extra-pictures")


@of("vcclothes", "celeb", "ltcc", "occluded_reid_half")
def test_where_nothing_is_left_out_on_purpose(doctor: Doctor, made: Tree) -> None:
    folder = next(path.rpartition("/")[0] for path, *_ in made.rows["query"])
    save(made.root / folder / "more" / "7.jpg", drawn(7, 7, 7))
    word = doctor("mine", made.root, "--quick")
    assert "left-out" not in word.kinds
    assert word.names("extra-pictures") == [[f"{folder}/more/7.jpg"]]


@of("prcc")
def test_queries_that_the_protocol_does_not_ask(doctor: Doctor, made: Tree) -> None:
    """prcc-cc asks camera C alone; a person of whom A has nothing is one of its queries, and one of B's."""
    assert not any(kind.startswith("query-") for kind in doctor("mine", made.root, "--quick").kinds)
    shutil.rmtree(made.root / "rgb" / "test" / "A" / "003")
    finding = doctor("mine", made.root, "--quick").finding("query-absent-from-gallery")
    told = "queries whose person is not in the gallery: 1 of 2 (protocol prcc-cc, by the rule cloth-changing)"
    assert finding["what"] == told
    assert finding["items"] == [{"names": ["rgb/test/C/003/cropped_rgb001.jpg"], "about": "query, person 3"}]


@of("prcc")
def test_all_queries_where_nobody_changes(doctor: Doctor, made: Tree) -> None:
    """Without camera C it is not judged by prcc-cc, and camera B's are what is asked."""
    shutil.rmtree(made.root / "rgb" / "test" / "C")
    shutil.rmtree(made.root / "rgb" / "test" / "A" / "003")
    word = doctor("mine", made.root, "--quick")
    assert word.report["protocol"] == "market"
    assert word.names("query-absent-from-gallery") == [["rgb/test/B/003/cropped_rgb001.jpg"]]


@of("p_duke")
def test_where_nobody_is_judged_by_cameras(doctor: Doctor, made: Tree) -> None:
    """A copy from the query's own camera is a find there, and an unknown camera is nothing to mend."""
    name = "0001/0001_c1_f0001111.jpg"
    shutil.copy(made.root / "test/occluded_body_images" / name, made.root / "test/whole_body_images" / name)
    word = doctor("mine", made.root)
    assert {*word.kinds} == LITTER | {"duplicate-query-finds-itself"}


@of("folders")
def test_what_folders_of_people_are_not(doctor: Doctor, made: Tree, tmp_path: Path) -> None:
    """A flat folder, and one that another reader reads, are an error; a stray picture among people is a finding."""
    with pytest.raises(UserError, match="lie in no person's folder"):
        doctor.said("mine", made.root / "train" / "anna" / "1")
    with pytest.raises(UserError, match="read it with reader: market"):
        doctor.said("mine", TREES["market"](tmp_path / "market").root)
    save(made.root / "train" / "loose.jpg", drawn(7, 7, 7))
    assert "1 pictures in" in doctor("mine", made.root, "--quick").finding("refused")["what"]


@of("deepchange")
def test_tracklets_are_called_so(doctor: Doctor, made: Tree) -> None:
    """The gallery pictures of person 20's first camera become the query's own tracklet, the others are gone."""
    file = made.root / "test-set-gallery-bbox.txt"
    lines = [line for line in file.read_text().splitlines() if not line.startswith("P20_C17")]
    query = next(line for line in (made.root / "test-set-query-bbox.txt").read_text().splitlines() if "P20_C2" in line)
    own = query.split(",")[1]
    mended = [f"{line.split(',')[0]},{own}" if line.startswith("P20_C2") else line for line in lines]
    file.write_text("\n".join(mended))
    finding = doctor("mine", made.root, "--quick").finding("query-no-other-camera")
    assert finding["what"].startswith("queries whose person no other tracklet saw in the gallery: 1 of 6 (protocol")
    assert "tracklet" in finding["do"]
    assert finding["items"][0]["names"] == ["test-set-query/P20_C2_3_test1.jpg"]
    told = doctor.said("mine", made.root, "--quick")[1].splitlines()
    assert [line.split()[6] for line in told[1:4]] == ["cameras", "tracklets", "tracklets"]


@of("deepchange")
def test_all_that_the_lists_of_deepchange_name(doctor: Doctor, made: Tree) -> None:
    gone = ["test-set-query/P20_C2_3_test1.jpg", "train-set/P1_C17_17_test0.jpg", "train-set/P1_C2_2_test0.jpg"]
    for path in (*gone, "val-set-query/P1_C2_3_val1.jpg"):  # which nobody reads
        (made.root / path).unlink()
    word = doctor("mine", made.root, "--quick")
    assert [name for (name,) in word.names("listed-but-missing")] == gone
    finding = word.finding("listed-but-missing")
    assert finding["what"] == "pictures that the lists name and that are not there: 3 of 24"
    assert finding["items"][0]["about"] == "named in test-set-query-bbox.txt"
    assert (finding["severity"], word.status) == ("problem", 1)


@of("occluded_duke_lists")
def test_duke_without_the_lists_of_occluded_duke(doctor: Doctor, made: Tree) -> None:
    """It is no other dataset; the reader's sentence says what is wanting."""
    word = doctor("mine", made.root, "--quick")
    assert word.names("left-out") == [["bounding_box_train/0020_c5_f0001111.jpg"]]
    assert not any(name.endswith(".list") for (name,) in word.names("unread-files"))
    shutil.rmtree(made.root / "Occluded_Duke")
    word = doctor("mine", made.root, "--quick")
    assert "holds none of train.list, query.list, gallery.list" in word.finding("refused")["what"]
    assert word.status == 1


@of("partitions")
def test_all_that_partitions_name(doctor: Doctor, made: Tree) -> None:
    """But for pictures with mark 2, which the reader does not miss."""
    gone = [f"images/{name}.jpg" for name in ("00000001_0001_00000000", "00000003_0012_00000001")]
    (made.root / "images" / "00000001_0012_00000002.jpg").unlink()
    assert doctor("mine", made.root, "--quick").report["healthy"]
    for path in gone:
        (made.root / path).unlink()
    word = doctor("mine", made.root, "--quick")
    assert [name for (name,) in word.names("listed-but-missing")] == gone
    (made.root / "partitions.pkl").write_bytes(pickle.dumps({"trainval_im_names": 7}))
    assert doctor("mine", made.root, "--quick").kinds == ["refused"]


@of("market")
def test_the_same_sentence_is_not_promised_to_what_nobody_looked_at(doctor: Doctor, made: Tree) -> None:
    shutil.rmtree(made.root / "bounding_box_test")
    assert "looked at" in doctor("mine", made.root).finding("refused")["do"]
    assert "looked at" not in doctor("mine", made.root, "--quick").finding("refused")["do"]


def test_what_is_neither_file_nor_folder(doctor: Doctor, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    for given in (Path("/dev/null"), tmp_path / "pipe.csv"):
        with pytest.raises(UserError, match="is a file, not a folder"):
            doctor.said("csv", given)


def test_a_list_that_is_a_pipe_is_not_waited_for(doctor: Doctor, tmp_path: Path) -> None:
    tree = TREES["msmt"](tmp_path / "here")
    (tree.root / "list_val.txt").unlink()
    os.mkfifo(tree.root / "list_val.txt")
    assert doctor("msmt", tree.root, "--quick").report["healthy"]


def test_a_street_is_not_drawn(doctor: Doctor, tmp_path: Path) -> None:
    doctor.catalog.write_text(f"street: {{reader: street, root: {tmp_path / 'street'}, size: small}}\n")
    with pytest.raises(UserError, match=r"is not there yet and the doctor makes none"):
        main(["street", "--quick"], doctor.catalog)
    assert not (tmp_path / "street").exists()
