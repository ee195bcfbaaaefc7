"""A street on disk: a folder as Market-1501 lays it out, written whole or not at all."""

from __future__ import annotations

import json
import os
import signal
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

from common.errors import UserError
from common.files import make_folder
from common.progress import progress
from data.street.config import FORMAT, StreetConfig
from data.street.plan import FOLDERS, GALLERY, QUERY, TRAIN, Place, places
from data.street.world import World

MANIFEST = "street.json"
_BATCH = 16
"""Pictures that a worker draws at a time."""


@dataclass(frozen=True)
class Summary:
    """What lies in a street's folder.

    Attributes:
        out: the folder.
        train, query, gallery: numbers of pictures; `gallery` counts the passers-by too.
        seconds: how long it took to write; 0 when it was there already.
        fresh: False when the folder held this very street and was left as it was.
    """

    out: Path
    train: int
    query: int
    gallery: int
    seconds: float
    fresh: bool

    @property
    def pictures(self) -> int:
        return self.train + self.query + self.gallery


def write_street(out: Path, config: StreetConfig, *, workers: int = 1, force: bool = False) -> Summary:
    """Write the street of `config` to the folder `out`, the same bytes with any number of `workers`.

    Args:
        workers: processes that draw; 1 draws in this one.
        force: replace another street that `out` holds. No other folder is ever replaced.

    Raises:
        UserError: `out` holds something else, or cannot be written, or `workers` is below 1.
    """
    if workers < 1:
        raise UserError(f"workers is {workers}, but somebody has to draw; give 1 or more")
    out = Path(os.path.abspath(out))  # noqa: PTH100  # absolute() would keep "..", resolve() would follow links
    started = time.perf_counter()
    try:
        standing = _standing(out, config, force)
        if standing is not None:
            return standing
        make_folder(out.parent)
        counts = _write(out, config, workers)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"cannot write {out}: {reason}; free some space or choose another folder") from error
    except BrokenProcessPool as error:
        raise UserError("a process that draws was killed, maybe for memory; give fewer --workers") from error
    return Summary(out, counts[TRAIN], counts[QUERY], counts[GALLERY], time.perf_counter() - started, True)


def _write(out: Path, config: StreetConfig, workers: int) -> dict[str, int]:
    """Draw into a hidden folder beside `out` and rename it into place; returns the pictures in each folder."""
    beside = tempfile.TemporaryDirectory(
        dir=out.parent, prefix=f".{out.name}.", suffix=".part", ignore_cleanup_errors=True
    )
    with beside as held:
        part = Path(held) / "new"
        for folder in FOLDERS:
            (part / folder).mkdir(parents=True)
        with closing(_drawn(part, config, workers)) as drawn:
            counted = Counter(progress(drawn, total=config.pictures, title="street", unit="picture"))
        counts = {name: counted[name] for name in FOLDERS}
        manifest = {"format": FORMAT, "config": config.as_dict(), "counts": counts}
        (part / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        # What stood there is removed only once the new street stands.
        aside = Path(held) / "old"
        if out.exists():
            out.rename(aside)
        try:
            part.rename(out)
        except BaseException:
            if aside.exists():
                aside.rename(out)
            raise
    return counts


def _standing(out: Path, config: StreetConfig, force: bool) -> Summary | None:
    """The street that `out` already is; None when it may be written; else the error that says what to do."""
    if not out.exists() and not out.is_symlink():
        return None
    if not out.is_dir() or out.is_symlink():
        raise UserError(f"{out} is not a folder; choose another place for the street")
    if not any(out.iterdir()):
        return None
    found = _manifest(out)
    if found is None:
        raise UserError(f"{out} holds files that are no street; choose an empty or new folder")
    same = found.get("format") == FORMAT and found.get("config") == config.as_dict()
    counts = {name: len(list((out / name).glob("*.jpg"))) for name in FOLDERS}
    if not (same and found.get("counts") == counts):
        if force:
            return None
        if same:
            raise UserError(f"{out} holds this street, but pictures were added or removed; write it again with --force")
        raise UserError(f"{out} holds another street; choose another folder or replace it with --force")
    return Summary(out, counts[TRAIN], counts[QUERY], counts[GALLERY], 0.0, False)


def _manifest(out: Path) -> dict[str, object] | None:
    """What street.json says; None when there is none, or it is not one of ours."""
    try:
        found = json.loads((out / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and {"format", "config", "counts"} <= found.keys() else None


def _drawn(part: Path, config: StreetConfig, workers: int) -> Generator[str, None, None]:
    """Draw every picture into `part`; gives the folder of each one that is done."""
    batches = _batches(config)
    if workers == 1:
        world = World(config)
        for batch in batches:
            yield from _draw(world, part, batch)
        return
    # Fresh processes, not forks: a fork of a process with threads (torch, a test run) may hang.
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _start_worker, (config, part))
    ahead: deque[Future[list[str]]] = deque()
    try:
        with _interrupts_ignored():
            ahead.extend(pool.submit(_draw_in_worker, batch) for batch in islice(batches, 3 * workers))
        while ahead:
            folders = ahead.popleft().result()
            ahead.extend(pool.submit(_draw_in_worker, batch) for batch in islice(batches, 1))
            yield from folders
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _batches(config: StreetConfig) -> Iterator[list[Place]]:
    rest = places(config)
    while batch := list(islice(rest, _BATCH)):
        yield batch


def _draw(world: World, part: Path, batch: list[Place]) -> list[str]:
    """Draw and store some pictures; returns their folders."""
    for place in batch:
        picture = world.picture(place.shot)
        picture.save(part / place.folder / place.name, "JPEG", quality=world.quality(place.shot))
    return [place.folder for place in batch]


_worker: tuple[World, Path] | None = None
"""What a worker process draws from; never set in the parent."""


def _start_worker(config: StreetConfig, part: Path) -> None:
    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which stops the workers
    _worker = World(config), part


def _draw_in_worker(batch: list[Place]) -> list[str]:
    assert _worker is not None
    return _draw(*_worker, batch)


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """While workers are started they inherit this, so that Ctrl-C never meets one half awake."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
