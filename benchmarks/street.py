"""How hard the street is: colours alone, an untrained network and a trained one under the same protocol.

    make demo && .venv/bin/python -m benchmarks.street checkpoints/demo/epoch_0008.pt

Judged on the target of the checkpoint, with cosine scores.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from configs.loader import parse
from data.pictures import open_picture
from data.samples import Split
from engine.checkpoint import load_checkpoint
from engine.evaluation import evaluate_network
from engine.extraction import Extraction, columns_of
from engine.judging import Request, dataset_of
from engine.launch import run_door
from modeling.methods import build_embedder, options_of
from retrieval.columns import Features
from retrieval.ranking.results import Scores
from retrieval.study import Question, study

Array = NDArray[np.float32]

BINS = 8  # per colour channel
STRIPES = 4
CPU = torch.device("cpu")


def histogram(picture: Image.Image) -> Array:
    """The share of each of 8×8×8 colours, `(512,)`."""
    bins = np.asarray(picture).reshape(-1, 3) // (256 // BINS)
    counts = np.bincount(bins @ np.array([BINS * BINS, BINS, 1]), minlength=BINS**3).astype(np.float32)
    shares: Array = counts / counts.sum()
    return shares


def striped(picture: Image.Image) -> Array:
    """One histogram per horizontal stripe, each the square root of the shares, `(2048,)`."""
    width, height = picture.size
    edges = np.linspace(0, height, STRIPES + 1).astype(int)
    stripes = [picture.crop((0, top, width, bottom)) for top, bottom in pairwise(edges)]
    rooted: Array = np.sqrt(np.concatenate([histogram(stripe) for stripe in stripes]))
    return rooted


def described(split: Split, describe: Callable[[Image.Image], Array]) -> Features:
    """A split as features made by hand."""
    return Features(np.stack([describe(open_picture(split.file(row))) for row in range(len(split))]), columns_of(split))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    path = parser.parse_args().checkpoint
    checkpoint = load_checkpoint(path)
    config = parse(checkpoint.card["config"], options_of)
    dataset = dataset_of(Request(path), config)
    print(dataset.summary())

    def by_colour(describe: Callable[[Image.Image], Array]) -> Scores:
        query, gallery = described(dataset.query, describe), described(dataset.gallery, describe)
        return study(query, gallery, Question([dataset.protocol])).scores[dataset.protocol]

    torch.manual_seed(config.seed)
    network = build_embedder(config)
    how = Extraction.of(config, network, CPU)
    rows = {
        "colour histogram 8x8x8": by_colour(histogram),
        "the same in 4 stripes, rooted": by_colour(striped),
        f"{config.model.backbone}, untrained": evaluate_network(network, dataset, how),
    }
    network.load_state_dict(checkpoint.model)
    rows[f"{config.model.backbone}, {checkpoint.card['epoch']} epochs"] = evaluate_network(network, dataset, how)
    print(f"\n{'':<32}{'mAP':>8}{'mINP':>8}{'rank-1':>8}   (%)")
    for name, scores in rows.items():
        print(f"{name:<32}{100 * scores.mAP:8.1f}{100 * scores.mINP:8.1f}{100 * scores.cmc[1]:8.1f}")
    return 0


if __name__ == "__main__":
    run_door(main)
