"""What a set of masks looks like, in a few numbers: whether parsing found bodies or something else."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from modeling.parsing.parser import Parsed


@dataclass(frozen=True)
class MaskStatistics:
    """Counts over the masks of some people; `+` joins those of two sets of people with the same number of parts.

    Attributes:
        cells: in all masks.
        part_cells: P numbers, of the cells of each part.
        pictures: masks.
        part_pictures: P numbers, of the pictures in which each part is seen at all.
        people: parsed together, each counted once.
        co_parsed: of these, the people whose pictures went through co-parsing.
        labels, iterations: of co-parsing, added up over people.
        fallbacks: people for whom another way than the one asked for had to do.
    """

    cells: int
    part_cells: tuple[int, ...]
    pictures: int
    part_pictures: tuple[int, ...]
    people: int = 0
    co_parsed: int = 0
    labels: int = 0
    iterations: int = 0
    fallbacks: int = 0

    @classmethod
    def of_masks(cls, masks: Tensor, parts: int) -> MaskStatistics:
        """Of masks `(N, h, w)` of which no more is known (people, labels: 0)."""
        flat = masks.flatten(1).long()
        pictures = torch.arange(len(masks), device=masks.device)[:, None]
        counts = torch.bincount((pictures * (parts + 1) + flat).flatten(), minlength=len(masks) * (parts + 1))
        counts = counts.view(len(masks), parts + 1)[:, 1:]
        cells, seen = counts.sum(0).tolist(), (counts > 0).sum(0).tolist()
        return cls(masks.numel(), tuple(cells), len(masks), tuple(seen))

    @classmethod
    def of(cls, parsed: Parsed, parts: int) -> MaskStatistics:
        """Of one person."""
        masks = cls.of_masks(parsed.masks, parts)
        ran = int(parsed.iterations > 0)
        counts = (1, ran, parsed.labels, parsed.iterations, int(parsed.fallback))
        return cls(masks.cells, masks.part_cells, masks.pictures, masks.part_pictures, *counts)

    def __add__(self, other: MaskStatistics) -> MaskStatistics:
        return MaskStatistics(
            self.cells + other.cells,
            _added(self.part_cells, other.part_cells),
            self.pictures + other.pictures,
            _added(self.part_pictures, other.part_pictures),
            self.people + other.people,
            self.co_parsed + other.co_parsed,
            self.labels + other.labels,
            self.iterations + other.iterations,
            self.fallbacks + other.fallbacks,
        )

    @property
    def foreground(self) -> float:
        """The share of cells that are of any part."""
        return sum(self.part_shares)

    @property
    def part_shares(self) -> list[float]:
        """The share of all cells that each part has; P numbers."""
        return [_share(count, self.cells) for count in self.part_cells]

    @property
    def seen_shares(self) -> list[float]:
        """The share of pictures in which each part is seen; P numbers."""
        return [_share(count, self.pictures) for count in self.part_pictures]

    @property
    def mean_labels(self) -> float:
        """Labels left, over the people of co-parsing; 0 without any."""
        return _share(self.labels, self.co_parsed)

    @property
    def mean_iterations(self) -> float:
        """Iterations, over the people of co-parsing; 0 without any."""
        return _share(self.iterations, self.co_parsed)

    def numbers(self) -> dict[str, float]:
        """For curves and files."""
        shares = {f"part {part} area": share for part, share in enumerate(self.part_shares, start=1)}
        told = {"foreground": self.foreground, **shares}
        return {**told, "labels left": self.mean_labels, "iterations": self.mean_iterations} if self.co_parsed else told

    def __str__(self) -> str:
        line = (
            f"foreground {self.foreground:.1%}, parts {_percentages(self.part_shares)} of the cells, seen in"
            f" {_percentages(self.seen_shares)} of {self.pictures} pictures"
        )
        if self.co_parsed:
            line += f", {self.mean_labels:.1f} labels after {self.mean_iterations:.1f} iterations"
        return f"{line}, {self.fallbacks} of {self.people} people by fallback" if self.people else line


def _added(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(mine + theirs for mine, theirs in zip(one, other, strict=True))


def _share(count: int, total: int) -> float:
    return count / total if total else 0.0


def _percentages(shares: list[float]) -> str:
    return "/".join(f"{100 * share:.1f}" for share in shares) + " %"
