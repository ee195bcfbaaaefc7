"""The pictures of a ladder: its split of the street, drawn once into a folder of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from data.catalog import find
from data.street.splits import write_split
from data.training_set import TrainingSet

FOLDER = Path("datasets/ladders")


@dataclass(frozen=True)
class Pictures:
    """Where they lie and what they are.

    Attributes:
        source, target: folders, counted from where the doors are opened; the same one where nothing is adapted.
        fingerprints: of the streets by part, as `Dataset.fingerprint`.
        training: fingerprints of what may be trained on, as in a checkpoint's card: "source", "target" (with its
            labels), "both" (the target without).
    """

    source: Path
    target: Path
    fingerprints: Mapping[str, str]
    training: Mapping[str, str]

    def settings(self, learns: str = "source") -> dict[str, object]:
        """For `train.sh`.

        Args:
            learns: whose labels are learned, "source" or "target".
        """
        labelled = self.target if learns == "target" else self.source
        settings: dict[str, object] = {"data.source": "street", "data.root": str(labelled)}
        if self.target != labelled:
            settings |= {"data.target": "street", "data.target_root": str(self.target)}
        return settings


def draw(home: Path, split: str, size: str, workers: int) -> Pictures:
    """The split in its folder below `home`. That holds nothing but drawn splits: an older drawing is replaced."""
    parts = write_split(home / FOLDER / f"{split}-{size}", split, size, workers=workers, force=True)
    streets = {part: find("street", folder) for part, folder in parts.items()}
    source = "source" if "source" in parts else "street"
    target = "target" if "target" in parts else "street"
    labelled, unlabelled = streets[source].train, streets[target].train
    return Pictures(
        source=parts[source].relative_to(home),
        target=parts[target].relative_to(home),
        fingerprints={part: street.fingerprint() for part, street in streets.items()},
        training={
            "source": labelled.fingerprint(),
            "target": unlabelled.fingerprint(),
            "both": TrainingSet.of([labelled], [unlabelled]).fingerprint(),
        },
    )
