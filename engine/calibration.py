"""Thresholds kept on a checkpoint's card: how close two pictures must be to be of the same person.

    calibration = threshold_of(load_checkpoint(path).card)
    calibration.same_person(scores)

`eval.py --calibrate` writes them, one for each dataset, view (with or without the mirrored picture) and protocol. A
threshold is of the checkpoint's weights, so training that goes on from there starts without one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from common.errors import UserError
from common.files import make_folder
from data.samples import Dataset
from engine.card import change, require_changeable
from engine.gather import team
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


def require_writable(path: Path) -> None:
    """Raise `UserError` when the checkpoint's card may not be changed."""
    require_changeable(path, "--calibrate")
    make_folder(path.resolve().parent)


def calibrate(
    scorer: Scorer, query: Features, gallery: Features, protocol: Protocol, far: float, device: torch.device
) -> Verification:
    """Find the threshold; every process compares with its share of the gallery, and all get the same."""
    return verify(scorer, query, gallery, protocol, far=far, device=device, team=team())


def write(path: Path, entry: Calibration, identity: str) -> None:
    """Put an entry on the card of a checkpoint, in the place of an earlier one of its dataset, view and protocol.

    See `engine.card.change`.

    Args:
        identity: of the checkpoint that was calibrated.
    """

    def with_entry(card: Mapping[str, Any]) -> dict[str, Any]:
        others = [facts for facts in _entries(card) if any(facts.get(of) != entry.facts[of] for of in _KEY)]
        return {KEY: [*others, dict(entry.facts)]}

    change(path, with_entry, identity)


def _entries(card: Mapping[str, Any]) -> list[dict[str, Any]]:
    entries = card.get(KEY, [])
    return [dict(facts) for facts in entries if isinstance(facts, Mapping)] if isinstance(entries, list) else []
