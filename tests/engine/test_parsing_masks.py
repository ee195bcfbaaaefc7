"""A person's maps reach the parser whole and in order, and one person at a time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from data.readers import read
from data.samples import Split
from engine.extraction import Extraction
from engine.parsing_masks import by_network, by_parser
from modeling.parsing.parser import Parsed
from tests.engine.parsed import PREPROCESSING, ParsedEmbedder, images_of

HOW = Extraction(PREPROCESSING, torch.device("cpu"), batch_size=64, workers=0, flip=False)


@pytest.fixture
def split(street: Path) -> Split:
    """Of five people with 1 to 8 pictures, in no order."""
    everyone = read("street", street, "street").train
    counts = dict(zip(np.unique(everyone.pids).tolist(), (8, 1, 5, 2, 7), strict=False))
    rows = [np.flatnonzero(everyone.pids == pid)[:count] for pid, count in counts.items()]
    return everyone.take(np.random.default_rng(3).permutation(np.concatenate(rows)))


@pytest.mark.parametrize("batch_size", [1, 3, 8, 64])
def test_every_person_once_with_all_their_pictures(split: Split, batch_size: int) -> None:
    embedder, seen = ParsedEmbedder(), []

    def parser(maps: Tensor, seed: int) -> Parsed:
        assert not maps.is_inference()
        assert not maps.requires_grad
        seen.append((seed, maps))
        return Parsed(torch.full((len(maps), 8, 4), seed % 4, dtype=torch.uint8), 0, 0, seed % 2 == 0)

    found = list(by_parser(embedder.train(), parser, split, replace(HOW, batch_size=batch_size)))
    people = np.unique(split.pids).tolist()
    assert [seed for seed, _ in seen] == people
    for pid, (_, maps), one in zip(people, seen, found, strict=True):
        assert one.rows.tolist() == np.flatnonzero(split.pids == pid).tolist()
        torch.testing.assert_close(maps, embedder.maps(images_of(split, one.rows)))
        assert one.masks.shape == (len(one.rows), 8, 4)
        assert (one.masks == pid % 4).all()
        assert one.fallback == (pid % 2 == 0)


def test_one_person_at_a_time(split: Split) -> None:
    """The first is parsed before the pictures of the others are looked at."""
    embedder, asked = ParsedEmbedder(), []

    def parser(maps: Tensor, seed: int) -> Parsed:
        asked.append(embedder.asked)
        return Parsed(torch.zeros(len(maps), 8, 4, dtype=torch.uint8), 0, 0, False)

    list(by_parser(embedder, parser, split, replace(HOW, batch_size=4)))
    counts = [int((split.pids == pid).sum()) for pid in np.unique(split.pids)]
    assert asked == [-(-total // 4) for total in np.cumsum(counts)]


def test_by_network_the_likeliest(split: Split) -> None:
    embedder = ParsedEmbedder()
    found = list(by_network(embedder.train(), split, replace(HOW, batch_size=5)))
    rows = np.concatenate([one.rows for one in found])
    assert rows.tolist() == list(range(len(split)))
    masks = torch.cat([one.masks for one in found])
    parsed = embedder.parsed(images_of(split, rows))
    naive = torch.zeros(len(split), 8, 4, dtype=torch.uint8)
    for cell in np.ndindex(*naive.shape):
        naive[cell] = int(np.argmax(parsed[cell[0], :, cell[1], cell[2]].detach().numpy()))
    assert masks.dtype == torch.uint8
    assert (masks == naive).all()
    assert len(masks.unique()) == 4
    assert not any(one.fallback for one in found)
