"""Files written whole or not at all, hashed, and never followed out of their root."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

from common.errors import UserError


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Let `write(file)` fill a temporary file beside `path`, then rename it into place.

    When anything goes wrong (disk full, Ctrl-C) the temporary file is removed and whatever stood at `path` stays.
    """
    make_folder(path.parent)
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; free some space or choose another folder") from error
    part = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        part.chmod(0o644)
        part.replace(path)
    except IsADirectoryError as error:
        part.unlink(missing_ok=True)
        raise UserError(f"cannot write {path}: it is a folder; name a file") from error
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def link_or_copy(source: Path, path: Path) -> None:
    """Make `path` the same file as `source` (a hard link, or a copy where there are none), replacing what was there."""
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    try:
        try:
            os.link(source, part)
        except OSError:
            shutil.copyfile(source, part)
        part.replace(path)
    finally:
        # Renaming one hard link over another of the same file does nothing and leaves both.
        part.unlink(missing_ok=True)


def take_space(path: Path) -> None:
    """Take the space of a file that has holes, such as a new memory-mapped array, now that lack of it is an `OSError`.

    A disk that fills up under the holes would kill the process with SIGBUS.
    """
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def human(size: float) -> str:
    """Bytes as one reads them."""
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.1f} MiB"


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all."""
    write_atomically(path, lambda file: file.write(text.encode()))


def make_folder(folder: Path) -> Path:
    """Create `folder` (and its parents) or say why it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot create the folder {folder}: {error.strerror}; make it writable or choose another place"
        ) from error
    if not os.access(folder, os.W_OK):
        raise UserError(f"the folder {folder} is not writable; make it so (chmod u+w) or choose another place")
    return folder


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's content as 64 hex digits, read in 1 MiB pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def inside(root: Path, relative: str, named_by: str) -> Path:
    """`root / relative`, refused when it leads out of `root` (`..`, an absolute path, a link) or can be no path.

    Args:
        named_by: where the path was read (a file and row), for the error.
    """
    if "\0" in relative:
        raise UserError(f"{named_by}: the path {relative!r} has a zero byte, which no path can have; write it anew")
    path = root / relative
    if not path.resolve().is_relative_to(root.resolve()):
        raise UserError(f"{named_by}: the path '{relative}' leads out of {root}; only paths inside it are read")
    return path
