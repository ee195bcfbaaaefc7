"""Checkpoints that describe themselves, read without executing anything.

| part | content |
|---|---|
| `model` | the state of the method's embedder: all that evaluation needs |
| `training` | the rest of the method, optimisers, precision, random streams, position: all that going on needs |
| `card` | method, configuration, preprocessing, dataset and label-map fingerprints, scores, thresholds, versions |
"""

from __future__ import annotations

import pickle
import platform
import struct
import subprocess
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ignite
import torch
from torch import Tensor, nn

from common.errors import UserError, did_you_mean
from common.files import write_atomically

FORMAT = 1
_ZIP = b"PK\x03\x04"  # how every file of torch.save begins

_DAMAGED = (
    *(RuntimeError, EOFError, OSError, ValueError, LookupError, AttributeError, TypeError),
    *(struct.error, zipfile.BadZipFile),
)
"""What torch raises on bytes that are no checkpoint: it takes any file for a pickle, and letters for its opcodes."""
CARD = {"name", "method", "config", "epoch", "finished", "source", "target", "pictures", "scores", "best_by"}
"""What the card of every checkpoint holds, among other things."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint in memory; see the module for its parts."""

    model: dict[str, Tensor]
    training: dict[str, Any]
    card: dict[str, Any]


class CannotSave(UserError):
    """A checkpoint could not be written."""


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write a checkpoint whole or not at all; on a full disk `CannotSave`, and whatever stood at `path` stays."""
    parts = {
        "format": FORMAT,
        "model": checkpoint.model,
        "training": checkpoint.training,
        "card": checkpoint.card,
    }
    try:
        write_atomically(path, lambda file: torch.save(parts, file))
    except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "the disk may be full"
        raise CannotSave(
            f"the checkpoint {path} could not be written: {reason}. Earlier checkpoints in {path.parent} are intact;"
            " free some space and start the same command again to go on from the last one"
        ) from error


def checkpoint_file(path: Path) -> Path:
    """`path` itself, or for a run's folder its best checkpoint, else its last; `UserError` when there is none."""
    if path.is_dir():
        path = _of_run(path)
    if not path.is_file():
        raise UserError(_missing(path))
    return path


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        UserError: there is none, it is damaged, or it is something else.
    """
    path = checkpoint_file(path)
    with path.open("rb") as file:
        start = file.read(len(_ZIP))
    if start and start != _ZIP:
        raise UserError(
            f"{path} is not a checkpoint of this toolkit but something else or in torch's oldest format; give one that"
            f" train.sh wrote, or for a network's weights model.pretrained={path}"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of other pickle protocols: what follows says what is wrong
            with zipfile.ZipFile(path) as archive:
                if archive.testzip() is not None:  # torch does not look at the checksums it writes
                    raise zipfile.BadZipFile
            parts = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path} is not a checkpoint of this toolkit: reading it would run code or it is no checkpoint at all;"
            " give one that train.sh wrote"
        ) from error
    except _DAMAGED as error:
        raise UserError(
            f"{path} is damaged or cut short and cannot be read; take another checkpoint of the run or copy it again"
        ) from error
    if not isinstance(parts, Mapping) or not {"format", "model", "training", "card"} <= set(parts):
        raise UserError(
            f"{path} holds {_kind(parts)}, not a checkpoint of this toolkit. To start training from such weights,"
            f" give model.pretrained={path}"
        )
    if parts["format"] != FORMAT:
        raise UserError(f"{path} has checkpoint format {parts['format']}, this version reads {FORMAT}; update the code")
    return Checkpoint(parts["model"], parts["training"], parts["card"])


def require_card(checkpoint: Checkpoint, path: Path) -> None:
    """Raise `UserError` for a checkpoint whose card was tampered with."""
    missing = sorted(CARD - set(checkpoint.card)) if isinstance(checkpoint.card, Mapping) else ["everything"]
    if missing:
        raise UserError(f"{path}: its card lacks {', '.join(missing)}; take another checkpoint of the run")


def load_weights(network: nn.Module, checkpoint: Checkpoint, path: Path) -> None:
    """Give a network that was built from the card its weights; `UserError` when they are of another one."""
    try:
        network.load_state_dict(checkpoint.model)
    except RuntimeError as error:
        config = checkpoint.card["config"]
        raise UserError(
            f"{path} does not hold the weights that its own card describes ({config['method']} on"
            f" {config['model']['backbone']}); it was changed after it was written, take another one"
        ) from error


def versions() -> dict[str, str]:
    """What the numbers in a card were made with."""
    return {"python": platform.python_version(), "torch": str(torch.__version__), "ignite": str(ignite.__version__)}


def commit() -> str | None:
    """The code's git commit, marked when files differ from it; None outside a checkout."""
    root = Path(__file__).parent
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=root,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return described.stdout.strip()


def _of_run(folder: Path) -> Path:
    written = sorted(folder.glob("*.pt"))
    if not written:
        runs = sorted(path.name for path in folder.iterdir() if any(path.glob("*.pt")))
        hint = f"; there are runs in it: {', '.join(runs)}" if runs else ""
        raise UserError(f"there is no checkpoint (*.pt) in the folder {folder}{hint}")
    best = folder / "best.pt"
    return best if best in written else max(written, key=lambda path: path.stat().st_mtime)


def _missing(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f"there is no checkpoint {path}: the folder {folder} does not exist"
    written = sorted(file.name for file in folder.iterdir() if file.suffix == ".pt" or any(file.glob("*.pt")))
    hint = did_you_mean(path.name, written) or (f"; there are: {', '.join(written)}" if written else "")
    return f"there is no checkpoint {path}{hint}"


def _kind(parts: object) -> str:
    if isinstance(parts, Mapping) and parts and all(isinstance(value, Tensor) for value in parts.values()):
        return f"the bare weights of a network ({len(parts)} tensors)"
    return f"a {type(parts).__name__}"
