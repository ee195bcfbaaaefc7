"""A run on disk: its folders, and whether the same command starts it, goes on with it or is refused."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from common.errors import UserError
from common.files import make_folder
from configs.loader import differences, plain
from configs.schema import Config
from engine.checkpoint import Checkpoint, load_checkpoint

BEST, INTERRUPTED = "best.pt", "interrupted.pt"

FREE = re.compile(
    r"name|output\..*|test\..*|data\.(root|target|target_root|workers)|model\.pretrained"
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
        return sorted(self.checkpoints.glob("epoch_*.pt"))

    def last(self) -> Path | None:
        """The checkpoint to go on from."""
        interrupted = self.checkpoints / INTERRUPTED
        return interrupted if interrupted.is_file() else next(reversed(self.epochs()), None)

    def clear(self) -> None:
        """Forget an earlier run of this name (`train.restart=true`)."""
        for path in [*self.checkpoints.glob("*.pt"), *self.logs.glob("events.*")]:
            path.unlink()
        for name in ("metrics.jsonl", "train.log"):
            (self.logs / name).unlink(missing_ok=True)


def to_resume(config: Config, label_map: str) -> Checkpoint | None:
    """The checkpoint a run goes on from; None for a fresh start.

    Args:
        label_map: hash of the training set's labels, as it is now.

    Raises:
        UserError: the run is finished, or it was started with another configuration or other pictures.
    """
    path = Folders.of(config).last()
    if config.train.restart or path is None:
        return None
    checkpoint = load_checkpoint(path)
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
    changed = [key for key in differences(card["config"], plain(config)) if not FREE.fullmatch(key)]
    if changed:
        raise UserError(
            f"the run '{config.name}' was started with other settings than now ({', '.join(changed)}), so {path} cannot"
            f" be gone on from; set them back as in {path.parent / 'config.yml'}, {anew}"
        )
    if card["label_map"] != label_map:
        raise UserError(
            f"the run '{config.name}' was started on other training pictures or identities than are there now; put the"
            f" dataset back as it was, {anew}"
        )
    return checkpoint
