"""How far apart pictures are given each other, for lists of pairs, from maps on disk.

The pairs of a block of queries are scored together: their maps are read once, then those of the gallery pictures that
they are paired with, each once per block. So a few blocks of maps are in memory, whatever the number of pictures.
Blocks depend on the pairs alone and are dealt out to the processes, so that the distances are the same for any number
of these.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from common.progress import bar
from engine.maps import Maps
from modeling.methods.method import PairEmbedder
from retrieval.columns import Ints
from retrieval.streaming.exact import Doubles
from retrieval.streaming.stream import ALONE, Team
from retrieval.streaming.tiles import full_precision

BLOCK = 1 << 29
"""Bytes of maps in a block: 680 pictures of a ResNet-50 at 384×128."""
_AT_ONCE = {"cuda": 128}
"""Pairs whose maps are computed at once, by device; 16 elsewhere."""


@dataclass(frozen=True, eq=False)
class _Block:
    """Some pictures on the device.

    Attributes:
        rows: `(B,)` their rows, ascending.
        maps: `(B, C, h, w)` float16.
        projected: what the network made of these, `(B, …)` each.
    """

    rows: Ints
    maps: Tensor
    projected: tuple[Tensor, ...]

    def take(self, rows: Ints) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Of pictures by their rows, as the network wants them."""
        at = torch.from_numpy(np.searchsorted(self.rows, rows)).to(self.maps.device)
        return self.maps[at].float(), tuple(one[at] for one in self.projected)


class PairScorer:
    """The conditional distances ‖ê_q|g − ê_g|q‖ of pairs, ê unit vectors; those computed before are remembered.

    Args:
        team: the processes, which share the work; all of them must ask for the same pairs.
        block: bytes of maps that are read at a time.
    """

    def __init__(
        self,
        embedder: PairEmbedder,
        query: Maps,
        gallery: Maps,
        device: torch.device,
        team: Team = ALONE,
        block: int = BLOCK,
    ) -> None:
        self.embedder, self.query, self.gallery, self.device, self.team = embedder, query, gallery, device, team
        self.block = max(1, block // max(1, gallery.size))
        self.at_once = _AT_ONCE.get(device.type, 16)
        self._keys: Ints = np.empty(0, dtype=np.int64)
        self._distances: Doubles = np.empty(0)

    def __call__(self, queries: Ints, gallery: Ints) -> Doubles:
        """`(n,)` distances of n query rows and n gallery rows."""
        keys = queries * len(self.gallery) + gallery
        unknown = np.setdiff1d(keys, self._keys)
        if len(unknown):
            distances = np.concatenate([self._distances, self._computed(*np.divmod(unknown, len(self.gallery)))])
            every = np.concatenate([self._keys, unknown])
            order = np.argsort(every)
            self._keys, self._distances = every[order], distances[order]
        return self._distances[np.searchsorted(self._keys, keys)]

    def _computed(self, queries: Ints, gallery: Ints) -> Doubles:
        """Of pairs in ascending order, by query and then by gallery row."""
        blocks = np.unique(queries, return_inverse=True)[1] // self.block
        owners = blocks % self.team.world
        mine = np.flatnonzero(owners == self.team.rank)
        distances = np.zeros(len(queries))
        self.embedder.eval()
        with bar(len(mine), title="pairs", unit="pair") as seen, torch.inference_mode(), full_precision(self.device):
            for number in np.unique(blocks[mine]):
                at = np.flatnonzero(blocks == number)
                distances[at] = self._of_block(queries[at], gallery[at], seen.update)
        return self.team.gathered(distances)[owners, np.arange(len(queries))]

    def _of_block(self, queries: Ints, gallery: Ints, seen: Callable[[int], object]) -> Doubles:
        """Of pairs whose queries are few enough to be in memory together."""
        ours = self._read(self.query, np.unique(queries))
        distances = np.empty(len(queries))
        partners, place = np.unique(gallery, return_inverse=True)
        for start in range(0, len(partners), self.block):
            theirs = self._read(self.gallery, partners[start : start + self.block])
            at = np.flatnonzero(place // self.block == start // self.block)
            for some in np.split(at, range(self.at_once, len(at), self.at_once)):
                one, other = self.embedder.conditional(*ours.take(queries[some]), *theirs.take(gallery[some]))
                apart = F.normalize(one.float()) - F.normalize(other.float())
                distances[some] = apart.double().square().sum(dim=1).sqrt().cpu().numpy()
                seen(len(some))
        return distances

    def _read(self, maps: Maps, rows: Ints) -> _Block:
        halves = torch.from_numpy(maps.read(rows)).to(self.device)
        parts = [self.embedder.projected(some.float()) for some in halves.split(self.at_once)]
        return _Block(rows, halves, tuple(torch.cat(of) for of in zip(*parts, strict=True)))
