"""A trained network's body parts: what it says of single pictures, or what a parser finds in the maps of each person.

All that is held at a time is one person's maps and one batch's.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from common.errors import UserError
from data.loader import PictureLoader, Pictures, RawBatch, WholeBatches
from data.samples import Ints, Split
from engine.extraction import Extraction
from modeling.methods.method import ParsingEmbedder
from modeling.parsing.parser import Parser


@dataclass(frozen=True, eq=False)
class Found:
    """The parts of some pictures.

    Attributes:
        rows: `(B,)` in the split.
        masks: `(B, h, w)` uint8 on the CPU: 0 background, 1 to P from head to foot.
        fallback: whether the parser had to give up its own way for these.
    """

    rows: Ints
    masks: Tensor
    fallback: bool = False


def by_network(embedder: ParsingEmbedder, split: Split, how: Extraction) -> Iterator[Found]:
    """What the network itself says is likeliest in each cell, batch by batch."""
    for raw, parsed in each_batch(embedder, embedder.parsed, split, np.arange(len(split)), how):
        yield Found(raw.rows.numpy(), parsed.argmax(1).to("cpu", torch.uint8))


def by_parser(embedder: ParsingEmbedder, parser: Parser, split: Split, how: Extraction) -> Iterator[Found]:
    """What `parser` finds in the network's maps, one person after the other; their number is the seed.

    Raises:
        UserError: there are pictures of nobody (−1), which are no person to be parsed together.
    """
    nobody = int((split.pids < 0).sum())
    if nobody:
        raise UserError(
            f"{nobody} pictures are of nobody in particular (person −1), and parts are looked for in all pictures of a"
            " person at once; judge another --split, or --by network"
        )
    for pid, rows, maps in _each_person(embedder, split, how):
        parsed = parser(maps, pid)
        yield Found(rows, parsed.masks, parsed.fallback)


def _each_person(embedder: ParsingEmbedder, split: Split, how: Extraction) -> Iterator[tuple[int, Ints, Tensor]]:
    """Each person's number, rows and maps `(N, C, h, w)`, copied into ordinary tensors, on which parsers may train."""
    order = np.argsort(split.pids, kind="stable")
    people, counts = np.unique(split.pids, return_counts=True)
    start, left = 0, torch.empty(0)
    with closing(each_batch(embedder, embedder.maps, split, order, how)) as batches:
        for pid, count in zip(people.tolist(), counts.tolist(), strict=True):
            filled, maps = 0, torch.empty(0)
            while filled < count:
                if not len(left):
                    left = next(batches)[1]
                if not filled:
                    maps = left.new_empty((count, *left.shape[1:]))
                taken = min(count - filled, len(left))
                maps[filled : filled + taken] = left[:taken]
                filled, left = filled + taken, left[taken:]
            yield pid, order[start : start + count], maps
            start += count


def each_batch(
    embedder: ParsingEmbedder, work: Callable[[Tensor], Tensor], split: Split, order: Ints, how: Extraction
) -> Generator[tuple[RawBatch, Tensor], None, None]:
    """Each batch of the rows in this order, and what `work` makes of its images in evaluation, without gradients."""
    embedder.eval()
    pictures = Pictures(split.file, how.preprocessing)
    batches = WholeBatches(order.tolist(), how.batch_size)
    with PictureLoader(pictures, batches, how.workers, how.device.type == "cuda") as loader:
        for raw in loader:
            with torch.inference_mode():
                images = how.preprocessing.normalise(raw.pixels.to(how.device, non_blocking=True))
                made = work(images)
            yield raw, made
