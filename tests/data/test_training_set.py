"""Identities are renumbered, sources do not mix, and a target's identities are gone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from common.contracts import SOURCE, TARGET
from data.samples import Sample, Split
from data.training_set import TrainingSet


def split(name: str, *rows: tuple[int, int, int]) -> Split:
    """Rows of pid, camid, clothes."""
    return Split.of(Path(name), (Sample(f"{n}.jpg", *row) for n, row in enumerate(rows)))


A = split("a", (7, 3, 5), (2, 1, -1), (7, 1, 2), (900, 3, 5))
B = split("b", (2, 1, 5), (7, -1, 5))
C = split("c", (2, 3, 2), (5, 4, -1), (7, 3, 9))


def test_one_source_is_renumbered_in_sorted_order() -> None:
    rows = TrainingSet.of([A])
    assert rows.labels.tolist() == [1, 0, 1, 2]
    assert rows.camids.tolist() == [1, 0, 0, 1]
    assert rows.clothes.tolist() == [1, -1, 0, 1]
    assert rows.domain.tolist() == [SOURCE] * 4
    assert rows.num_classes == 3
    assert len(rows) == 4


def test_sources_are_kept_apart() -> None:
    rows = TrainingSet.of([A, B])
    assert rows.labels.tolist() == [1, 0, 1, 2, 3, 4]
    assert rows.camids.tolist() == [1, 0, 0, 1, 2, -1]
    assert rows.clothes.tolist() == [1, -1, 0, 1, 2, 2]
    assert rows.num_classes == 5


def test_a_target_has_cameras_and_no_labels() -> None:
    rows = TrainingSet.of([A, B], [C])
    assert rows.labels.tolist() == [1, 0, 1, 2, 3, 4, -1, -1, -1]
    assert rows.camids.tolist() == [1, 0, 0, 1, 2, -1, 3, 4, 3]
    assert rows.clothes.tolist() == [1, -1, 0, 1, 2, 2, 3, -1, 4]
    assert rows.domain.tolist() == [SOURCE] * 6 + [TARGET] * 3
    assert rows.num_classes == 5
    assert all(
        column.dtype == np.int64 and len(column) == 9
        for column in (rows.labels, rows.camids, rows.clothes, rows.domain)
    )


def test_two_targets() -> None:
    rows = TrainingSet.of([B], [C, A])
    assert rows.domain.tolist() == [SOURCE] * 2 + [TARGET] * 7
    assert rows.labels.tolist() == [0, 1] + [-1] * 7
    assert rows.camids.tolist() == [0, -1, 1, 2, 1, 4, 3, 3, 4]


def test_unknown_identities_get_no_class() -> None:
    rows = TrainingSet.of([split("x", (-1, 0, -1), (4, 0, -1))])
    assert rows.labels.tolist() == [-1, 0]
    assert rows.num_classes == 1


def test_files_are_counted_through_the_splits() -> None:
    rows = TrainingSet.of([A, split("empty"), B], [C])
    expected = [f"a/{n}.jpg" for n in range(4)] + [f"b/{n}.jpg" for n in range(2)] + [f"c/{n}.jpg" for n in range(3)]
    assert [rows.file(row).as_posix() for row in range(len(rows))] == expected
    with pytest.raises(IndexError):
        rows.file(len(rows))


def test_hidden_labels_are_the_truth_about_targets_alone() -> None:
    assert TrainingSet.of([A, B]).hidden_labels().tolist() == [-1] * 6
    rows = TrainingSet.of([A], [C, split("x", (5, 0, 0), (-1, 0, 0), (5, 0, 0))])
    assert rows.hidden_labels().tolist() == [-1] * 4 + [0, 1, 2] + [3, -1, 3]
    assert rows.labels.tolist()[4:] == [-1] * 6


def test_what_may_be_learned_from_does_not_depend_on_a_targets_identities() -> None:
    others = split("c", (9, 3, 2), (9, 4, -1), (1, 3, 9))
    one, other = TrainingSet.of([A], [C]), TrainingSet.of([A], [others])
    assert one.hidden_labels().tolist() != other.hidden_labels().tolist()
    assert one.num_classes == other.num_classes
    assert one.label_map_hash() == other.label_map_hash()
    for name in ("labels", "camids", "clothes", "domain"):
        assert getattr(one, name).tolist() == getattr(other, name).tolist()


def test_fingerprint(tmp_path: Path) -> None:
    def written(name: str, size: int = 3) -> Split:
        made = split(str(tmp_path / name), (1, 0, 0), (2, 0, 0))
        made.root.mkdir(exist_ok=True)
        for row in range(2):
            made.file(row).write_bytes(b"x" * size)
        return made

    a, b = written("a"), written("b", 4)
    assert TrainingSet.of([a]).fingerprint() == a.fingerprint(), "as checkpoints of a single source always had it"
    sets = [TrainingSet.of([a]), TrainingSet.of([b]), TrainingSet.of([a, b]), TrainingSet.of([b, a])]
    sets += [TrainingSet.of([a], [b]), TrainingSet.of([b], [a])]
    prints = [rows.fingerprint() for rows in sets]
    assert len(set(prints)) == 6
    assert prints[4] == TrainingSet.of([a], [b]).fingerprint()
    assert {len(told) for told in prints} == {16}
    b.file(1).write_bytes(b"other")
    assert TrainingSet.of([a], [b]).fingerprint() != prints[4]


def test_label_map_hash() -> None:
    first = TrainingSet.of([A, B])
    assert len(first.label_map_hash()) == 16
    assert int(first.label_map_hash(), 16) >= 0
    assert first.label_map_hash() == TrainingSet.of([A, B]).label_map_hash()
    turned = split("a", (2, 1, -1), (7, 3, 5), (7, 1, 2), (900, 3, 5))
    others = [TrainingSet.of([B, A]), TrainingSet.of([A]), TrainingSet.of([A], [B]), TrainingSet.of([turned, B])]
    hashes = {rows.label_map_hash() for rows in (first, *others)}
    assert len(hashes) == 5
