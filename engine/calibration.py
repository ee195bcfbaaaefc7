"""Thresholds kept on a checkpoint's card: how close two pictures must be to be of the same person.

    calibration = threshold_of(load_checkpoint(path).card)
    calibration.same_person(scores)

`eval.py --calibrate` writes them, one for each dataset, view (with or without the mirrored picture) and protocol. A
threshold is of the checkpoint's weights, so training that goes on from there starts without one.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from common.errors import UserError
from common.files import link_or_copy, make_folder
from data.samples import Dataset
from engine.checkpoint import CannotSave, Checkpoint, checkpoint_file, load_checkpoint, save_checkpoint
from engine.gather import largest, team
from retrieval.columns import Features
from retrieval.protocols import Protocol
from retrieval.scorers import Scorer
from retrieval.verification.result import sentence
from retrieval.verification.verify import Verification, verify

KEY = "calibration"
"""Of the card: a list, an entry for each dataset, view and protocol."""
_KEY = ("dataset", "flip", "protocol")
_NEEDED = {*_KEY, "fingerprint", "scorer", "far", "threshold", "interval", "held_out", "resolution"}


@dataclass(frozen=True)
class Calibration:
    """One entry of the card.

    Attributes:
        facts: `dataset`, its `fingerprint`, `flip`, and what `Verification.as_dict` says.
    """

    facts: Mapping[str, Any]

    @classmethod
    def of(cls, found: Verification, dataset: Dataset, flip: bool) -> Calibration:
        """What was found on a dataset. Raises `UserError` where it is no threshold."""
        told = found.as_dict()
        if told["threshold"] is None:
            raise UserError(f"{sentence(told)}; nothing was written, ask for a higher --far or train on")
        return cls({"dataset": dataset.name, "fingerprint": dataset.fingerprint(), "flip": flip, **told})

    @property
    def threshold(self) -> float:
        """The score from which two pictures are taken for the same person's."""
        return float(self.facts["threshold"])

    def same_person(self, scores: ArrayLike) -> NDArray[np.bool_]:
        """Whether scores, as the entry's `scorer` gives them, reach the threshold."""
        accepted: NDArray[np.bool_] = np.asarray(scores) >= self.threshold
        return accepted

    def sentence(self) -> str:
        """The threshold, where it comes from and how good it is."""
        return f"calibrated on {self.where()}: {sentence(self.facts)}"

    def is_of(self, dataset: str, flip: bool, protocol: str) -> bool:
        """Whether it was made on this dataset in this view under this protocol."""
        return tuple(self.facts[name] for name in _KEY) == (dataset, flip, protocol)

    def where(self) -> str:
        """The dataset, the view and the protocol."""
        view = f"{'with' if self.facts['flip'] else 'without'} mirrored pictures"
        return f"{self.facts['dataset']} {view} under protocol {self.facts['protocol']}"


def calibrations(card: Mapping[str, Any]) -> list[Calibration]:
    """All that a card holds and that this version understands."""
    return [Calibration(facts) for facts in _entries(card) if set(facts) >= _NEEDED]


def threshold_of(
    card: Mapping[str, Any], dataset: str | None = None, flip: bool | None = None, protocol: str | None = None
) -> Calibration:
    """The one entry of a card that is meant.

    Args:
        dataset, flip, protocol: where there are several.

    Raises:
        UserError: there is none like that, or more than one.
    """
    fitting = [
        entry
        for entry in calibrations(card)
        if all(asked in (None, entry.facts[name]) for name, asked in zip(_KEY, (dataset, flip, protocol), strict=True))
    ]
    if len(fitting) == 1:
        return fitting[0]
    there = ", ".join(entry.where() for entry in calibrations(card))
    if fitting:
        raise UserError(f"the checkpoint has several thresholds ({there}); say which dataset, flip and protocol")
    if there:
        raise UserError(
            f"the checkpoint has no threshold for that, only for {there}; make one with eval.py --calibrate"
        )
    raise UserError("the checkpoint has no threshold; make one with eval.py CHECKPOINT --dataset NAME --calibrate")


def identity_of(checkpoint: Checkpoint) -> str:
    """SHA-256 of what decides the features: the weights, and the configuration they are built with.

    What else a card tells, and the state of training, may change without a picture's feature changing.
    """
    digest = hashlib.sha256(json.dumps(checkpoint.card["config"], sort_keys=True, default=str).encode())
    for name, value in sorted(checkpoint.model.items()):
        digest.update(f"\n{name}\t{value.dtype}\t{tuple(value.shape)}\n".encode())
        digest.update(value.detach().cpu().reshape(-1).contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def require_writable(path: Path) -> None:
    """Raise `UserError` when the checkpoint's card may not be changed."""
    # A superuser may write to everything, and still means it when a file is marked as not to be written to.
    if not os.access(path, os.W_OK) or not path.stat().st_mode & 0o222:
        raise UserError(f"{path} is read-only, and --calibrate writes to its card; chmod u+w it or take a copy")
    make_folder(path.resolve().parent)


def calibrate(
    scorer: Scorer, query: Features, gallery: Features, protocol: Protocol, far: float, device: torch.device
) -> Verification:
    """Find the threshold; every process compares with its share of the gallery, and all get the same."""
    return verify(scorer, query, gallery, protocol, far=far, device=device, team=team())


def write(path: Path, entry: Calibration, identity: str) -> None:
    """Put an entry on the card of a checkpoint: process 0 does, and when it cannot, all processes stop.

    See `write_entry`.
    """
    problem: UserError | None = None
    if idist.get_rank() == 0:
        try:
            write_entry(path, entry, identity)
        except UserError as error:
            problem = error
    if largest(int(problem is not None)):
        raise problem or SystemExit(1)


def write_entry(path: Path, entry: Calibration, identity: str) -> None:
    """Put an entry on the card, in the place of an earlier one of its dataset, view and protocol; nothing else
    changes.

    The file keeps its time, by which `train.sh` tells which checkpoint of a run is the last, and its other names
    (`best.pt` is also its epoch's file).

    Args:
        identity: of the checkpoint that was calibrated.

    Raises:
        UserError: another checkpoint took its place meanwhile, or the disk is full; it stays as it is.
    """
    path = path.resolve()
    before = checkpoint_file(path).stat()
    checkpoint = load_checkpoint(path)
    changed = UserError(f"{path} was written by somebody else meanwhile, so nothing was; give the same command again")
    if identity_of(checkpoint) != identity:
        raise changed
    others = [facts for facts in _entries(checkpoint.card) if any(facts.get(of) != entry.facts[of] for of in _KEY)]
    card = {**checkpoint.card, KEY: [*others, dict(entry.facts)]}
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.calibrated")
    try:
        save_checkpoint(Checkpoint(checkpoint.model, checkpoint.training, card), part)
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


def _entries(card: Mapping[str, Any]) -> list[dict[str, Any]]:
    entries = card.get(KEY, [])
    return [dict(facts) for facts in entries if isinstance(facts, Mapping)] if isinstance(entries, list) else []
