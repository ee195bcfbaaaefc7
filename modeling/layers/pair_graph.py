"""What two pictures have that the other has not: a graph over the cells of both, and one step along its Laplacian.

graph = PairGraph(2048)
projected = graph.project(maps)                              # once per picture
first, second = graph(projected.take(i), projected.take(j))  # once per pair, both ways
maps_of_i_given_j = graph.added(maps[i], first)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from modeling.layers.precision import at_least_float32

ISOLATED = 1e-3
"""A cell whose edges add up to no more has no neighbours to be compared with."""

Propagation = Literal["laplacian", "adjacency"]


class Projected(NamedTuple):
    """All that the graph asks of a picture: `(B, N, c)` each, of N cells.

    Attributes:
        y: unit vectors, whose products are the edges.
        g: what is sent along them.
    """

    y: Tensor
    g: Tensor

    def take(self, rows: Tensor) -> Projected:
        """Those of some pictures."""
        return Projected(self.y[rows], self.g[rows])


class PairGraph(nn.Module):
    """The correspondence attention and discrepancy graph of CACE-Net (Yu et al., arXiv 2009.05250) on two maps of N
    cells each. Over all 2N cells p, q of both

        A_pq = [p ≠ q] · max(0, y_pᵀ y_q),   y = W_y x / ‖W_y x‖
        d_p = Σ_q A_pq,                      r_p = 1/√d_p, or 1 where d_p ≤ 0.001, without gradient
        x'_p = x_p + W_o ( d_p r_p² g_p − r_p Σ_q A_pq r_q g_q ),   g = W_g x

    so that a cell is sent how it differs from what looks like it in either picture. W_o begins with zeros.

    W_y and W_g see one cell at a time, so they are applied once per picture and not per pair. A is symmetric, so one
    graph serves both x' of i given j and x' of j given i. Degrees and their roots are float32.

    Args:
        channels: C.
        inner: c; by default C/16.
        propagation: "adjacency" sends the mean of the neighbours, r_p Σ_q A_pq r_q g_q, instead of the difference.
        cross_only: no edges within a picture.
    """

    def __init__(
        self,
        channels: int,
        inner: int | None = None,
        *,
        propagation: Propagation = "laplacian",
        cross_only: bool = False,
    ) -> None:
        super().__init__()
        inner = channels // 16 if inner is None else inner
        self.propagation, self.cross_only = propagation, cross_only
        self.affinity = nn.Linear(channels, inner, bias=False)
        self.value = nn.Linear(channels, inner, bias=False)
        self.out = nn.Linear(inner, channels, bias=False)
        nn.init.zeros_(self.out.weight)

    def project(self, maps: Tensor) -> Projected:
        """y and g of pictures `(B, C, h, w)`, at least float32."""
        cells = maps.flatten(2).transpose(1, 2)
        y = F.normalize(at_least_float32(self.affinity(cells)), dim=2)
        return Projected(y, at_least_float32(self.value(cells)))

    def forward(self, first: Projected, second: Projected) -> tuple[Tensor, Tensor]:
        """What the first and what the second of P pairs are sent, `(P, N, c)` each, before W_o."""
        cells = first.y.shape[1]
        y, g = (torch.cat(both, dim=1) for both in zip(first, second, strict=True))
        edges = F.relu(y @ y.transpose(1, 2)).masked_fill(self._no_edge(cells, y.device), 0)
        degrees = edges.sum(dim=2, keepdim=True, dtype=torch.promote_types(edges.dtype, torch.float32))
        with torch.no_grad():
            roots = torch.where(degrees > ISOLATED, degrees.clamp(min=ISOLATED).rsqrt(), 1)
        sent = roots * at_least_float32(edges @ (roots * g))
        if self.propagation == "laplacian":
            sent = degrees * roots.square() * g - sent
        return sent[:, :cells], sent[:, cells:]

    def added(self, maps: Tensor, sent: Tensor) -> Tensor:
        """Maps `(P, C, h, w)` with what they are sent `(P, N, c)`."""
        added: Tensor = maps + self.out(sent).transpose(1, 2).unflatten(2, maps.shape[2:])
        return added

    def _no_edge(self, cells: int, device: torch.device) -> Tensor:
        """`(2N, 2N)`, where there is no edge."""
        if not self.cross_only:
            return torch.eye(2 * cells, dtype=torch.bool, device=device)
        picture = torch.arange(2 * cells, device=device) >= cells
        return picture[:, None] == picture[None, :]

    if TYPE_CHECKING:

        def __call__(self, first: Projected, second: Projected) -> tuple[Tensor, Tensor]: ...


@dataclass(frozen=True)
class Pairs:
    """The pairs of `size` pictures: P unordered ones, i < j, and the R ordered ones (of i given j) that they give.

    Attributes:
        first, second: `(P,)` int64, i and j.
        kept: `(R,)` int64, the ordered ones among the 2P [i given j ; j given i]: of a picture with itself one of two,
            of others both.
    """

    size: int
    first: Tensor
    second: Tensor
    kept: Tensor

    @classmethod
    def of(cls, size: int, *, with_itself: bool = False, device: torch.device | None = None) -> Pairs:
        """All of them; `with_itself` also pairs each picture with itself."""
        first, second = torch.triu_indices(size, size, offset=0 if with_itself else 1)
        both = torch.cat((torch.ones_like(first, dtype=torch.bool), first != second))
        kept = both.nonzero().squeeze(1)  # found on the CPU, so that no GPU is waited for
        return cls(size, first.to(device), second.to(device), kept.to(device))

    @property
    def own(self) -> Tensor:
        """`(R,)` int64, whose features the ordered pairs are."""
        return torch.cat((self.first, self.second))[self.kept]

    @property
    def partner(self) -> Tensor:
        """`(R,)` int64, given whom."""
        return torch.cat((self.second, self.first))[self.kept]
