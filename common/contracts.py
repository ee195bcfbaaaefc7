"""What travels between the rooms of the house: a batch on its way into a method, an embedding on its way out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from torch import Tensor

UNKNOWN = -1
"""The value of a camera or clothes id that the dataset does not tell, and of a label that must not be seen."""

SOURCE, TARGET = 0, 1
"""The values of `Batch.domain`."""


@dataclass(frozen=True)
class Batch:
    """A training batch as a method sees it, on its device and normalised.

    Attributes:
        images: `(B, 3, H, W)` float32, normalised.
        labels: `(B,)` int64 identity labels 0..C−1; −1 where identities are hidden (an unlabelled target).
        camids: `(B,)` int64; −1 unknown.
        clothes: `(B,)` int64 outfit labels; −1 unknown.
        index: `(B,)` int64 row in the training set (the row of a memory bank, of a mask array, of pseudo-labels).
        domain: `(B,)` int64, `SOURCE` or `TARGET`.
        geometry: `(B, 10)` int64: what the augmentation did to each picture (`data.transforms.Geometry`), so that
            masks and pose maps kept elsewhere can be moved along with it.
        extras: further inputs by name (masks, heatmaps), first dimension `B`.
    """

    images: Tensor
    labels: Tensor
    camids: Tensor
    clothes: Tensor
    index: Tensor
    domain: Tensor
    geometry: Tensor
    extras: Mapping[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return int(self.images.shape[0])

    def with_images(self, images: Tensor) -> Batch:
        """The same batch with other pixels (what a mixup handler returns)."""
        return replace(self, images=images)


@dataclass(frozen=True)
class Embedding:
    """What a network says of `B` pictures; a scorer compares two of these tile by tile.

    Attributes:
        vector: `(B, D)` the global feature.
        parts: `(B, P, D')` one feature per body part, where the system has them.
        visibility: `(B, P)` how visible each part is, in [0, 1].
        maps: `(B, C, h, w)` feature maps, where a pairwise scorer needs them.
    """

    vector: Tensor
    parts: Tensor | None = None
    visibility: Tensor | None = None
    maps: Tensor | None = None

    def fields(self) -> dict[str, Tensor]:
        """The tensors that are there, by name, all with first dimension `B`."""
        named = {"vector": self.vector, "parts": self.parts, "visibility": self.visibility, "maps": self.maps}
        return {name: value for name, value in named.items() if value is not None}
