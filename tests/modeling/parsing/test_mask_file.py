"""Masks on disk: what was made is found again, of the same refresh only, and nothing torn is taken for a mask."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from common.errors import UserError
from modeling.parsing.mask_file import MANIFEST, MASKS, MISSING, MaskFile

SHAPE = (5, 4, 2)
FACTS = {"epoch": 3, "options": {"by": "co-parsing", "stop_at": 18}}


def some(rows: int) -> Tensor:
    return torch.randint(0, 4, (rows, *SHAPE[1:]), dtype=torch.uint8, generator=torch.Generator().manual_seed(rows))


def test_a_refresh_goes_on_where_it_was(tmp_path: Path) -> None:
    file = MaskFile(tmp_path / "run" / "parsing", SHAPE, 3)
    assert (file.begun(FACTS) == MISSING).all()
    file.write(torch.tensor([4, 1]), some(2))
    file.write(torch.tensor([], dtype=torch.int64), some(0))
    again = MaskFile(tmp_path / "run" / "parsing", SHAPE, 3).begun(FACTS)
    assert torch.equal(again[[4, 1]], some(2))
    assert (again[[0, 2, 3]] == MISSING).all()


def test_finished_masks_are_an_array_and_a_manifest(tmp_path: Path) -> None:
    file = MaskFile(tmp_path, SHAPE, 3)
    file.begun(FACTS)
    file.write(torch.arange(5), some(5))
    assert json.loads((tmp_path / MANIFEST).read_text())["complete"] is False
    file.finish({"foreground": 0.5})
    assert np.array_equal(np.load(tmp_path / MASKS), some(5).numpy())
    told = json.loads((tmp_path / MANIFEST).read_text())
    assert told == {"of": FACTS, "complete": True, "statistics": {"foreground": 0.5}}


@pytest.mark.parametrize(
    "other", [{**FACTS, "epoch": 4}, {**FACTS, "options": {"by": "co-parsing", "stop_at": 17}}, {"epoch": 3}]
)
def test_another_refresh_begins_anew(tmp_path: Path, other: dict[str, object]) -> None:
    file = MaskFile(tmp_path, SHAPE, 3)
    file.begun(FACTS)
    file.write(torch.arange(5), some(5))
    assert (file.begun(other) == MISSING).all()
    assert (np.load(tmp_path / MASKS) == MISSING).all()


@pytest.mark.parametrize("shape", [(6, 4, 2), (5, 2, 4)])
def test_masks_of_another_shape_are_not_used(tmp_path: Path, shape: tuple[int, int, int]) -> None:
    file = MaskFile(tmp_path, SHAPE, 3)
    file.begun(FACTS)
    file.write(torch.arange(5), some(5))
    assert (MaskFile(tmp_path, shape, 3).begun(FACTS) == MISSING).all()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"of": 3}'])
def test_a_manifest_that_says_nothing(tmp_path: Path, text: str) -> None:
    file = MaskFile(tmp_path, SHAPE, 3)
    file.begun(FACTS)
    file.write(torch.arange(5), some(5))
    (tmp_path / MANIFEST).write_text(text)
    assert (file.begun(FACTS) == MISSING).all()


def test_a_mask_that_was_written_in_part_is_missing(tmp_path: Path) -> None:
    file = MaskFile(tmp_path, SHAPE, 3)
    file.begun(FACTS)
    file.write(torch.arange(5), some(5))
    with (tmp_path / MASKS).open("r+b") as raw:
        os.pwrite(raw.fileno(), bytes([MISSING]), raw.seek(0, os.SEEK_END) - 1)
    again = file.begun(FACTS)
    assert (again[4] == MISSING).all()
    assert torch.equal(again[:4], some(5)[:4])


def test_a_file_that_was_cut_off_is_made_anew(tmp_path: Path) -> None:
    file = MaskFile(tmp_path, SHAPE, 3)
    file.begun(FACTS)
    os.truncate(tmp_path / MASKS, 100)
    assert (file.begun(FACTS) == MISSING).all()
    assert np.load(tmp_path / MASKS).shape == SHAPE


@pytest.mark.parametrize("value", [4, 77, 254])
def test_a_part_that_there_is_not(tmp_path: Path, value: int) -> None:
    file = MaskFile(tmp_path, SHAPE, 3)
    file.begun(FACTS)
    file.write(torch.arange(5), some(5))
    file.write(torch.tensor([2]), torch.full((1, *SHAPE[1:]), value, dtype=torch.uint8))
    assert (file.begun(FACTS) == MISSING).all()


def test_another_order_of_cells_and_bytes_behind_them(tmp_path: Path) -> None:
    """Both are the same array to NumPy, and would be written to in wrong places."""
    file = MaskFile(tmp_path, SHAPE, 3)
    file.begun(FACTS)
    np.save(tmp_path / MASKS, np.asfortranarray(some(5).numpy()))
    assert (file.begun(FACTS) == MISSING).all()
    with (tmp_path / MASKS).open("ab") as raw:
        raw.write(b"more")
    file.write(torch.arange(5), some(5))
    assert (file.begun(FACTS) == MISSING).all()
    assert (tmp_path / MASKS).stat().st_size == 128 + 40


def test_a_header_that_promises_a_petabyte(tmp_path: Path) -> None:
    file = MaskFile(tmp_path, SHAPE, 3)
    file.begun(FACTS)
    with (tmp_path / MASKS).open("wb") as raw:
        np.lib.format.write_array_header_1_0(raw, {"descr": "|u1", "fortran_order": False, "shape": (10**15,)})
    assert (file.begun(FACTS) == MISSING).all()


def test_a_manifest_without_a_bottom(tmp_path: Path) -> None:
    file = MaskFile(tmp_path, SHAPE, 3)
    file.begun(FACTS)
    (tmp_path / MANIFEST).write_text("[" * 100_000)
    assert (file.begun(FACTS) == MISSING).all()


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("mine")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / MASKS).symlink_to(elsewhere)
    MaskFile(tmp_path / "run", SHAPE, 3).begun(FACTS)
    assert elsewhere.read_text() == "mine"
    assert not (tmp_path / "run" / MASKS).is_symlink()


def test_a_pickle_is_not_opened(tmp_path: Path) -> None:
    file = MaskFile(tmp_path, SHAPE, 3)
    file.begun(FACTS)
    np.save(tmp_path / MASKS, np.array([print], dtype=object), allow_pickle=True)
    assert (file.begun(FACTS) == MISSING).all()


def test_a_manifest_that_was_removed_meanwhile(tmp_path: Path) -> None:
    file = MaskFile(tmp_path, SHAPE, 3)
    file.begun(FACTS)
    (tmp_path / MANIFEST).unlink()
    file.finish({})
    assert json.loads((tmp_path / MANIFEST).read_text())["of"] == FACTS


def test_a_full_disk_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = MaskFile(tmp_path, SHAPE, 3)
    file.begun(FACTS)

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(UserError, match=r"masks\.npy \(0\.0 MiB of part masks\): No space left .*output\.checkpoints"):
        file.write(torch.tensor([0]), some(1))
