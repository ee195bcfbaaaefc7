"""Every reader finds in a tree what the loop that wrote it put there, wherever it lies and whatever is missing."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from common.errors import UserError
from data.catalog import CATALOG, find, load
from data.readers import READERS, read
from data.readers.checks import positives, without_cameras
from data.samples import Dataset
from tests.data.readers.trees import picture
from tests.data.trees import SPLITS, TREES, Tree

EVERY = pytest.mark.parametrize("title", TREES)
ANY_FOLDER = ("csv", "folders", "street")
"""What could lie in a folder of any shape, so that nobody can tell where else it might be."""
PLACES = ("here", "my_code/2022_12/msmt_stuff/c1s1/0009_c4s1_1/P1_C2_3/7-1-2-3/1_2_3/rgb/train/query")


def reading(tree: Tree, root: Path | None = None) -> Dataset:
    return read(tree.reader, root or tree.root, "mine", **tree.options)


def table(dataset: Dataset) -> dict[str, list[tuple[str, int, int, int]]]:
    return {
        title: list(zip(split.paths, split.pids.tolist(), split.camids.tolist(), split.clothes.tolist(), strict=True))
        for title, split in dataset.splits.items()
    }


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tree]:
    """One of each, each alone in a folder, to be read only."""
    above = tmp_path_factory.mktemp("trees")
    return {title: tree(above / title / "here") for title, tree in TREES.items()}


def test_every_reader_has_a_tree(trees: dict[str, Tree]) -> None:
    assert {tree.reader for tree in trees.values()} == set(READERS)


def test_every_line_of_the_catalog_reads_a_tree(trees: dict[str, Tree]) -> None:
    """By its variant; the published sets with their counts, except where a variant has none."""
    uncounted = {"csv", "folders", "partitions", "partitions-val", "occluded-reid-half"}
    roots = {(tree.reader, tree.options.get("variant")): tree.root for tree in trees.values()}
    for name, entry in load(CATALOG).items():
        if entry.reader in ("street", "pattern"):  # asks for another street, and for other names
            continue
        dataset = find(name, roots[entry.reader, entry.options.get("variant")])
        assert bool(dataset.published) == (name not in uncounted), name
        assert dataset.published.keys() <= dataset.splits.keys()


@EVERY
@pytest.mark.parametrize("place", PLACES)
def test_what_the_loop_wrote(tmp_path: Path, title: str, place: str) -> None:
    tree = TREES[title](tmp_path / place)
    dataset = reading(tree)
    assert table(dataset) == tree.rows
    assert dataset.protocol == (tree.named or tree.protocol)
    assert all(len(tree.rows[split]) for split in SPLITS if title != "occluded_reid" or split != "train")
    for split in dataset.splits.values():
        assert all(column.dtype == np.int64 for column in (split.pids, split.camids, split.clothes))
        assert all(split.file(row).is_file() for row in range(len(split)))


@EVERY
def test_positives_are_those_of_the_rows(trees: dict[str, Tree], title: str) -> None:
    """What the protocol lets a query find, counted pair by pair."""
    tree = trees[title]
    dataset = reading(tree)
    counts = []
    for _, pid, camid, outfit in tree.rows["query"]:
        found = 0
        for _, other, camera, clothes in tree.rows["gallery"]:
            if pid != other:
                continue
            seen = tree.protocol != "no-camera" and camid != -1 and camid == camera
            worn = tree.protocol == "cloth-changing" and (outfit == clothes or -1 in (outfit, clothes))
            found += not seen and not worn
        counts.append(found)
    query, gallery = dataset.query, dataset.gallery
    if tree.protocol == "no-camera":
        query, gallery = without_cameras(query), without_cameras(gallery)
    assert positives(query, gallery, other_clothes=tree.protocol == "cloth-changing").tolist() == counts
    assert sum(counts) > 0
    told = [note for note in dataset.notes if "queries have no positive" in note]
    assert bool(told) == (0 in counts)


@pytest.mark.parametrize("title", [title for title in TREES if title not in ANY_FOLDER])
def test_one_level_off_names_the_folder_that_works(trees: dict[str, Tree], title: str) -> None:
    tree = trees[title]
    below = [child for child in tree.root.iterdir() if child.is_dir()]
    assert below
    for given in (tree.root.parent, *below):
        with pytest.raises(UserError, match=rf"give it with data\.root={re.escape(str(tree.root))} \(eval"):
            reading(tree, given)


@EVERY
def test_roots_without_it(tmp_path: Path, trees: dict[str, Tree], title: str) -> None:
    tree = trees[title]
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "other" / "pictures").mkdir(parents=True)
    for given in ("empty", "other", "file", *(() if tree.reader == "street" else ("nowhere",))):
        with pytest.raises(UserError, match=r"'mine'|file"):
            reading(tree, tmp_path / given)


@EVERY
def test_a_split_may_be_missing(tmp_path: Path, trees: dict[str, Tree], title: str) -> None:
    for split, parts in trees[title].parts.items():
        tree = TREES[title](tmp_path / split)
        for part in parts:
            shutil.rmtree(tree.root / part) if (tree.root / part).is_dir() else (tree.root / part).unlink()
        if split == "gallery":
            with pytest.raises(UserError, match=r"query pictures but no gallery"):
                reading(tree)
            continue
        found = {other: [row[0] for row in told] for other, told in table(reading(tree)).items()}
        assert found == {other: [row[0] for row in told] if other != split else [] for other, told in tree.rows.items()}


@EVERY
def test_a_name_that_tells_nothing_is_named(tmp_path: Path, trees: dict[str, Tree], title: str) -> None:
    for split, wrong in trees[title].wrong.items():
        tree = TREES[title](tmp_path / split)
        picture(tree.root / wrong)
        # Which folder paths are relative to differs (of CUHK03's variants it is the inner one).
        with pytest.raises(UserError, match=rf"'mine': .*{re.escape(Path(wrong).name)}"):
            reading(tree)
