"""Files appear whole or not at all, and paths stay in their root."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path
from typing import IO

import pytest

from common.errors import UserError
from common.files import inside, link_or_copy, make_folder, sha256_of, write_atomically, write_text


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_writes_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a.txt"
    write_text(path, "first")
    write_text(path, "zweite Zeile: ü\n")
    assert path.read_bytes() == "zweite Zeile: ü\n".encode()
    assert path.stat().st_mode & 0o777 == 0o644
    assert names(path.parent) == ["a.txt"]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt(), ValueError()])
@pytest.mark.parametrize("existed", [True, False])
def test_a_failing_writer_leaves_what_was_there(tmp_path: Path, error: BaseException, existed: bool) -> None:
    path = tmp_path / "a.bin"
    if existed:
        path.write_bytes(b"old")

    def write(file: IO[bytes]) -> None:
        file.write(b"half of the new")
        file.flush()
        raise error

    with pytest.raises(type(error)):
        write_atomically(path, write)
    assert names(tmp_path) == (["a.bin"] if existed else [])
    assert not existed or path.read_bytes() == b"old"


def test_a_failing_rename_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def failing(self: Path, target: Path) -> Path:
        assert self.read_bytes() == b"new"
        assert self.parent == target.parent, "a rename is whole only within one folder"
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(OSError, match="Input/output error"):
        write_atomically(path, lambda file: file.write(b"new"))
    assert names(tmp_path) == ["a.bin"]
    assert path.read_bytes() == b"old"


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    seen = []

    def write(file: IO[bytes]) -> None:
        file.write(b"new")
        seen.append(path.read_bytes())

    write_atomically(path, write)
    assert seen == [b"old"]
    assert path.read_bytes() == b"new"


def test_a_file_in_the_way_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for folder in (tmp_path / "file", tmp_path / "file" / "sub"):
        with pytest.raises(UserError, match=rf"cannot create the folder {folder}: .*choose another place"):
            make_folder(folder)
        with pytest.raises(UserError, match="cannot create the folder"):
            write_text(folder / "a.txt", "text")
    assert (tmp_path / "file").read_text() == "in the way"


def test_an_unwritable_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`os.access` answers for a user who, unlike root, is bound by the permissions."""
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    with pytest.raises(UserError, match=rf"the folder {tmp_path} is not writable; make it so \(chmod u\+w\)"):
        write_text(tmp_path / "a.txt", "text")
    assert names(tmp_path) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_really_unwritable_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(UserError, match="is not writable"):
            make_folder(tmp_path)
        with pytest.raises(UserError, match="cannot create the folder .*Permission denied"):
            make_folder(tmp_path / "sub")
    finally:
        tmp_path.chmod(0o700)


def test_no_room_for_the_temporary_file(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 300)
    with pytest.raises(UserError, match=r"cannot write .*File name too long; free some space"):
        write_text(path, "text")


def test_make_folder_returns_it_and_may_be_repeated(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    assert make_folder(folder) == make_folder(folder) == folder
    assert folder.is_dir()


def refuse(*_: object, **__: object) -> None:
    raise OSError(errno.EPERM, "Operation not permitted")


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("existed", [True, False])
def test_link_or_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool, existed: bool) -> None:
    if not links:
        monkeypatch.setattr(os, "link", refuse)
    source, path = tmp_path / "epoch-3.pt", tmp_path / "best.pt"
    source.write_bytes(b"weights")
    if existed:
        path.write_bytes(b"older weights")
    for _ in range(2):  # the second time `path` is `source` already
        link_or_copy(source, path)
        assert path.read_bytes() == source.read_bytes() == b"weights"
        assert path.samefile(source) == links
        assert names(tmp_path) == ["best.pt", "epoch-3.pt"]


def test_link_or_copy_clears_what_an_interruption_left(tmp_path: Path) -> None:
    (tmp_path / ".b.part").write_bytes(b"left behind")
    (tmp_path / "a").write_bytes(b"a")
    link_or_copy(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"a"
    assert names(tmp_path) == ["a", "b"]


def test_a_failing_copy_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(source: Path, part: Path) -> None:
        part.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr("shutil.copyfile", half)
    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / "b").write_bytes(b"old")
    with pytest.raises(OSError, match="No space left"):
        link_or_copy(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"old"
    assert names(tmp_path) == ["a", "b"]


@pytest.mark.parametrize("size", [0, 3, (1 << 20) - 1, 1 << 20, (1 << 20) + 1])
def test_sha256(tmp_path: Path, size: int) -> None:
    content = bytes(i % 251 for i in range(size))
    (tmp_path / "a").write_bytes(content)
    assert sha256_of(tmp_path / "a") == hashlib.sha256(content).hexdigest()


def test_inside(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (tmp_path / "root-of-another").mkdir()
    (root / "out").symlink_to(tmp_path)
    (root / "in").symlink_to(root / "sub")
    for good in ("a.jpg", "sub/a.jpg", "sub/../a.jpg", "in/a.jpg", "..a.jpg", "sub/..."):
        assert inside(root, good, "list.csv:1") == root / good
    for bad in ("../a.jpg", "..", "sub/../../a.jpg", "/etc/passwd", "out/a.jpg", "../root-of-another/a.jpg"):
        with pytest.raises(UserError) as error:
            inside(root, bad, "list.csv:7")
        assert str(error.value) == f"list.csv:7: the path '{bad}' leads out of {root}; only paths inside it are read"


def test_inside_a_root_that_is_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "root").symlink_to(tmp_path / "disk")
    assert inside(tmp_path / "root", "a.jpg", "list") == tmp_path / "root" / "a.jpg"
    with pytest.raises(UserError):
        inside(tmp_path / "root", "../a.jpg", "list")


def test_a_zero_byte_is_no_path(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"table, row 3: the path 'a\\x00b.jpg' has a zero byte") as told:
        inside(tmp_path, "a\0b.jpg", "table, row 3")
    assert str(told.value).isprintable()
