"""A run on disk: its folders, and whether the same command starts it, goes on with it or is refused."""

from __future__ import annotations

import fcntl
import json
import os
import platform
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.errors import UserError
from common.files import make_folder
from configs.loader import differences, parse, plain
from configs.schema import Config
from engine.checkpoint import Checkpoint, load_checkpoint, require_card
from modeling.methods import method_class, options_of

BEST, INTERRUPTED, LOCK = "best.pt", "interrupted.pt", ".in-use"

EPOCH = re.compile(r"epoch_(\d+)\.pt")

FREE = re.compile(
    r"name|output\..*|test\..*|retrieval\..*|data\.(root|target|target_root|workers|cache|cache_folder)|model\.pretrained"
    r"|data\.poses\.(file|folder|weights)"
    r"|train\.(epochs|evaluate_every|checkpoint_every|keep|best|log_every|restart)"
)
"""Keys that may change between stopping and going on: they do not change what is learned from which pictures."""


@dataclass(frozen=True)
class Folders:
    """Where a run keeps what it leaves behind."""

    checkpoints: Path
    logs: Path

    @classmethod
    def of(cls, config: Config) -> Folders:
        return cls(config.output.checkpoints / config.name, config.output.logs / config.name)

    def make(self) -> None:
        """Create both or say why they cannot be written."""
        make_folder(self.checkpoints)
        make_folder(self.logs)

    def epoch(self, epoch: int) -> Path:
        """The checkpoint of one epoch."""
        return self.checkpoints / f"epoch_{epoch:04d}.pt"

    def epochs(self) -> list[Path]:
        """The epochs' checkpoints, oldest first."""
        numbered = ((EPOCH.fullmatch(path.name), path) for path in self.checkpoints.glob("epoch_*.pt"))
        return [path for _, path in sorted((int(match[1]), path) for match, path in numbered if match)]

    def last(self) -> Path | None:
        """The checkpoint to go on from."""
        interrupted, best = self.checkpoints / INTERRUPTED, self.checkpoints / BEST
        if interrupted.is_file():
            return interrupted
        # The best one is newer than the last regular one when the run was killed between two of those.
        found = [*self.epochs()[-1:], *([best] if best.is_file() else [])]
        return max(found, key=lambda path: path.stat().st_mtime, default=None)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run for this process; `UserError` when another one has it."""
        path = self.checkpoints / LOCK
        with path.open("a+", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                raise UserError(
                    f"{self.checkpoints} is in use by {file.read().strip() or 'another process'}; wait for it to end,"
                    " or choose another name=…"
                ) from None
            file.truncate(0)
            file.write(f"process {os.getpid()} on {platform.node()}")
            file.flush()
            try:
                yield
            finally:
                path.unlink(missing_ok=True)

    def clear(self) -> None:
        """Forget the checkpoints of an earlier run of this name."""
        for path in [*self.epochs(), self.checkpoints / BEST, self.checkpoints / INTERRUPTED]:
            path.unlink(missing_ok=True)

    def set_logs_aside(self) -> None:
        """Keep what an earlier run of this name said as `previous.*`, and begin new files."""
        for path in self.logs.glob("events.*"):
            path.unlink()
        for name in ("metrics.jsonl", "train.log"):
            if (self.logs / name).exists():
                (self.logs / name).replace(self.logs / f"previous.{name}")


def to_resume(config: Config, pictures: str, inputs: Mapping[str, Any] | None = None) -> Checkpoint | None:
    """The checkpoint a run goes on from; None for a fresh start.

    Args:
        pictures: fingerprint of the training pictures and their labels, as they are now.
        inputs: what is given to the network beside the pictures is made of, as it is now.

    Raises:
        UserError: the run is finished, or it was started with another configuration or other pictures.
    """
    path = Folders.of(config).last()
    if config.train.restart or path is None:
        return None
    checkpoint = load_checkpoint(path)
    require_card(checkpoint, path)
    card = checkpoint.card
    anew = "choose another name=… for a new run, or train.restart=true to start this one anew"
    done, wanted = card["epoch"], config.train.epochs
    if done > wanted:
        raise UserError(
            f"train.epochs={wanted} lies below epoch {done}, which {path} has reached; ask for more epochs, or {anew}"
        )
    if card["finished"] and done == wanted:
        raise UserError(
            f"the run '{config.name}' is finished: {done} of {wanted} epochs, last checkpoint {path}. Raise"
            f" train.epochs to go on, {anew}"
        )
    free = {f"options.{name}" for name in method_class(config.method).free_options}
    keys = differences(_filled(card["config"]), _filled(plain(config)))
    changed = [key for key in keys if key not in free and not FREE.fullmatch(key)]
    if changed:
        raise UserError(
            f"the run '{config.name}' was started with other settings than now ({', '.join(changed)}), so {path} cannot"
            f" be gone on from; set them back as in {path.parent / 'config.yml'}, {anew}"
        )
    if card["pictures"] != pictures:
        raise UserError(
            f"the run '{config.name}' was started on other training pictures or identities than are there now; put the"
            f" dataset back as it was, {anew}"
        )
    begun = card.get("inputs", {})
    other = [name for name in {**begun, **(inputs or {})} if begun.get(name) != (inputs or {}).get(name)]
    if other:
        raise UserError(
            f"the run '{config.name}' was started with other {' and '.join(other)} beside the pictures than are there"
            f" now ({_told(begun, other)} then, {_told(inputs or {}, other)} now); put them back, {anew}"
        )
    return checkpoint


def _told(facts: Mapping[str, Any], names: Sequence[str]) -> str:
    """What inputs are made of, in brief."""
    return json.dumps([facts.get(name) for name in names])


def _filled(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """A configuration with the keys that came since it was written, at their defaults."""
    try:
        return plain(parse(settings, options_of))
    except UserError:  # of keys that went since, which are then named as different
        return settings
