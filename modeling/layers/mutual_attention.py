"""Two sequences of tokens that ask each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from torch import Tensor, nn

from modeling.layers.attention import TokenNorm, attend, heads_of
from modeling.layers.co_attention import Streams
from modeling.layers.precision import at_least_float32

Direction = Literal["both", "appearance", "shape"]
"""Who asks: both each other, only the appearance the shape, or only the shape the appearance."""


class MutualCrossAttention(nn.Module):
    """The mutual cross-attention of CAMC (Wang et al., ACCV 2022), without projections. With S = f̂_a f̂_sᵀ / √(width of
    a head) in each head,

        p_s = LN₁(softmax(S) f̂_s + f̂_a),   s_p = LN₂(softmax(Sᵀ) f̂_a + f̂_s).

    Not published, and off unless asked for: scores of normalised tokens, whose temperature does not depend on how long
    the tokens of a map happen to be, and scores of projected tokens. What is passed on stays f̂.

    Args:
        channels: C, of each stream.
        direction: who asks.
        normalised: scores of LN(f̂_a) and LN(f̂_s).
        projected: a matrix of its own on either side of the scores; it begins as the identity.
    """

    def __init__(
        self, channels: int, direction: Direction = "both", *, normalised: bool = False, projected: bool = False
    ) -> None:
        super().__init__()
        self.heads = heads_of(channels)
        self.norms = nn.ModuleDict({name: TokenNorm(channels) for name in _asking(direction)})
        self.sides = nn.ModuleDict({name: _side(channels, normalised, projected) for name in Streams._fields})

    def forward(self, streams: Streams) -> tuple[Tensor, ...]:
        """p_s and s_p, or the one that is asked for; `(B, N, C)` float32 each."""
        tokens = {name: at_least_float32(stream) for name, stream in streams._asdict().items()}
        scored = {name: self.sides[name](stream) for name, stream in tokens.items()}
        answers = []
        for name, norm in self.norms.items():
            other = "shape" if name == "appearance" else "appearance"
            answer = attend(scored[name], scored[other], tokens[other], self.heads)
            answers.append(norm(at_least_float32(answer) + tokens[name]))
        return tuple(answers)

    if TYPE_CHECKING:

        def __call__(self, streams: Streams) -> tuple[Tensor, ...]: ...


def _asking(direction: Direction) -> tuple[str, ...]:
    return Streams._fields if direction == "both" else (direction,)


def _side(channels: int, normalised: bool, projected: bool) -> nn.Sequential:
    """What a stream goes through before it is scored."""
    layers: list[nn.Module] = [TokenNorm(channels)] if normalised else []
    if projected:
        layers.append(nn.Linear(channels, channels, bias=False))
        nn.init.eye_(layers[-1].weight)  # type: ignore[arg-type]
    return nn.Sequential(*layers)
