from __future__ import annotations

import hashlib
import os
import pickle
import time
from pathlib import Path

import numpy as np
import pytest

from common.errors import UserError
from data.samples import Counts, Dataset, Sample, Split, Strings, require

TEXTS = ["", "a", "bc/ä.jpg", "", "日本.png"]


def test_strings_are_a_sequence() -> None:
    strings = Strings(iter(TEXTS))
    assert list(strings) == TEXTS
    assert [strings[n] for n in range(-5, 5)] == TEXTS + TEXTS
    assert strings[1:4] == TEXTS[1:4]
    assert strings[::-2] == TEXTS[::-2]
    assert "a" in strings
    assert list(pickle.loads(pickle.dumps(strings))) == TEXTS  # noqa: S301 (what workers receive)
    for beyond in (5, -6):
        with pytest.raises(IndexError):
            strings[beyond]


def test_strings_empty() -> None:
    assert len(Strings([])) == 0
    assert list(Strings([])) == []


def test_strings_carry_file_names_that_are_not_utf8() -> None:
    name = os.fsdecode(b"caf\xe9.jpg")
    assert list(Strings([name, "b"])) == [name, "b"]
    assert Strings([name])[0] == name


def split(root: Path, *samples: Sample) -> Split:
    for sample in samples:
        (root / sample.path).write_bytes(b"123")
    return Split.of(root, samples)


def test_split_columns(tmp_path: Path) -> None:
    rows = split(tmp_path, Sample("a.jpg", 5, 2), Sample("b.jpg", 5), Sample("c.jpg", 7, 0, 3))
    assert (len(rows), rows.identities, rows.cameras) == (3, 2, 2)
    assert rows.camids.tolist() == [2, -1, 0]
    assert rows.clothes.tolist() == [-1, -1, 3]
    assert rows.pids.dtype == np.int64
    assert rows.file(1) == tmp_path / "b.jpg"
    assert split(tmp_path).cameras == 0


def test_fingerprint_sees_every_change(tmp_path: Path) -> None:
    first = Sample("a.jpg", 1, 0)
    before = split(tmp_path, first).fingerprint()
    line = b"a.jpg\t3\t1\t0\t-1\n"
    assert before == hashlib.sha256(line).hexdigest()[:16]
    changed = [Sample("b.jpg", 1, 0), Sample("a.jpg", 2, 0), Sample("a.jpg", 1, 1), Sample("a.jpg", 1, 0, 0)]
    prints = {split(tmp_path, sample).fingerprint() for sample in changed}
    prints |= {split(tmp_path, first, first).fingerprint(), split(tmp_path).fingerprint(), before}
    assert len(prints) == 7
    rows = split(tmp_path, first)
    (tmp_path / "a.jpg").write_bytes(b"1234")
    assert rows.fingerprint() != before
    (tmp_path / "a.jpg").unlink()
    with pytest.raises(UserError, match=r"there is no picture .*a.jpg any more"):
        rows.fingerprint()


def test_fingerprint_of_what_was_modified(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    one, other = (split(tmp_path / folder, Sample("a.jpg", 1, 0)) for folder in ("a", "b"))
    for rows in (one, other):
        os.utime(rows.file(0), ns=(0, 0))
    assert one.fingerprint() == other.fingerprint()
    (tmp_path / "c").mkdir()
    os.link(one.file(0), tmp_path / "c" / "a.jpg")
    linked = Split.of(tmp_path / "c", [Sample("a.jpg", 1, 0)])
    assert one.fingerprint(modified=True) != linked.fingerprint(modified=True), "another folder of the same files"
    before = one.fingerprint(modified=True)
    assert before == one.fingerprint(modified=True) != other.fingerprint(modified=True)
    os.replace(other.file(0), one.file(0))  # noqa: PTH105 (as `mv` does)
    moved = one.fingerprint(modified=True)
    assert moved != before, "another file under the same name"
    time.sleep(0.02)
    one.file(0).write_bytes(b"456")
    os.utime(one.file(0), ns=(0, 0))
    assert one.fingerprint(modified=True) not in (before, moved), "written again, the time set back"
    assert one.fingerprint() == split(tmp_path / "b", Sample("a.jpg", 1, 0)).fingerprint()


def test_dataset_summary_and_require(tmp_path: Path) -> None:
    train = split(tmp_path, Sample("a.jpg", 1, 0))
    nothing = split(tmp_path)
    dataset = Dataset("mine", train, nothing, nothing, "market", {"train": Counts(12_936, 751)}, ("hear this",))
    text = dataset.summary()
    assert "mine (protocol market)" in text
    assert "published: 12,936 images" in text
    assert text.endswith("note: hear this")
    assert len(dataset.fingerprint()) == 16
    assert require(dataset, "train") is dataset
    with pytest.raises(UserError, match=r"dataset 'mine' at .* has no query pictures"):
        require(dataset, "train", "query")
