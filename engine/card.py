"""Changing what the card of a checkpoint tells, and nothing else of the file."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from common.errors import UserError
from common.files import link_or_copy
from common.fingerprints import digest_of
from common.ranks import on_first
from engine.checkpoint import CannotSave, Checkpoint, checkpoint_file, load_checkpoint, save_checkpoint

Facts = Callable[[Mapping[str, Any]], Mapping[str, Any]]


def identity_of(checkpoint: Checkpoint) -> str:
    """SHA-256 of what decides the features: the weights, and the configuration they are built with.

    What else a card tells, and the state of training, may change without a picture's feature changing.
    """
    return digest_of(checkpoint.model, json.dumps(checkpoint.card["config"], sort_keys=True, default=str))


def require_changeable(path: Path, why: str) -> None:
    """Raise `UserError` when the checkpoint's card may not be changed; `why` it would be, as "--calibrate"."""
    # A superuser may write to everything, and still means it when a file is marked as not to be written to.
    if not os.access(path, os.W_OK) or not path.stat().st_mode & 0o222:
        raise UserError(f"{path} is read-only, and {why} writes to its card; chmod u+w it or take a copy")


def change(path: Path, facts: Facts, identity: str) -> None:
    """Put facts on the card of a checkpoint: process 0 does, and when it cannot, all processes stop.

    See `change_file`.
    """
    on_first(lambda: change_file(path, facts, identity))


def change_file(path: Path, facts: Facts, identity: str) -> None:
    """Put facts on the card, in the place of earlier ones of the same name; nothing else changes.

    The file keeps its time, by which `train.sh` tells which checkpoint of a run is the last, and its other names
    (`best.pt` is also its epoch's file).

    Args:
        facts: gives them from the card as it is.
        identity: of the checkpoint that the facts are about.

    Raises:
        UserError: another checkpoint took its place meanwhile, or the disk is full; it stays as it is.
    """
    path = path.resolve()
    before = checkpoint_file(path).stat()
    checkpoint = load_checkpoint(path)
    changed = UserError(f"{path} was written by somebody else meanwhile, so nothing was; give the same command again")
    if identity_of(checkpoint) != identity:
        raise changed
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.changed")
    try:
        save_checkpoint(
            Checkpoint(checkpoint.model, checkpoint.training, {**checkpoint.card, **facts(checkpoint.card)}), part
        )
        part.chmod(before.st_mode & 0o777)
        os.utime(part, ns=(before.st_atime_ns, before.st_mtime_ns))
        if not _is(path, before):
            raise changed
        part.replace(path)
    except CannotSave as error:
        raise UserError(
            f"{path} could not be written and is as it was: the disk may be full; free some space"
        ) from error
    finally:
        part.unlink(missing_ok=True)
    for name in path.parent.glob("*.pt"):
        if _is(name, before):
            link_or_copy(path, name)


def _is(path: Path, file: os.stat_result) -> bool:
    """Whether `path` names the file as it was."""
    try:
        now = path.lstat()
    except FileNotFoundError:
        return False
    return (now.st_ino, now.st_mtime_ns, now.st_size) == (file.st_ino, file.st_mtime_ns, file.st_size)
