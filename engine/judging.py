"""A checkpoint judged on a dataset: features once into their folder, then scores from there."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch

from common.errors import UserError
from common.files import sha256_of
from configs.loader import parse
from configs.schema import Config
from data.catalog import find
from data.samples import Dataset, Split, require
from engine.checkpoint import checkpoint_file, load_checkpoint, require_card
from engine.devices import place
from engine.evaluation import rank
from engine.extraction import Extraction, columns_of, extract
from engine.launch import told_once
from modeling.methods import build_embedder, options_of
from modeling.methods.method import Embedder
from retrieval.feature_file import FeatureFile, read_features, stale
from retrieval.feature_writer import FeatureWriter, Rows
from retrieval.matlab import require_scipy, write_mat
from retrieval.reranking import rerank
from retrieval.results import Scores
from retrieval.scorers import Precomputed, Scorer
from retrieval.scorers import scorer as scorer_of

logger = logging.getLogger("reid")


@dataclass(frozen=True)
class Request:
    """What `eval.py` was asked for; None means: as the checkpoint says.

    Attributes:
        dataset, root: what to judge on; the checkpoint's target by default.
        features: the folder that holds all runs' features.
        flip: add the mirrored picture's feature.
        rerank: k-reciprocal re-ranking.
        mat: write MATLAB files beside the features.
    """

    checkpoint: Path
    dataset: str | None = None
    root: Path | None = None
    features: Path | None = None
    flip: bool | None = None
    rerank: bool = False
    mat: bool = False
    batch_size: int | None = None
    workers: int | None = None


@dataclass(frozen=True)
class Judgement:
    """The scores and what they are of."""

    scores: Scores
    card: Mapping[str, Any]
    dataset: Dataset
    folder: Path  # of the features
    flip: bool


def judge(request: Request, device: torch.device) -> Judgement:
    """Extract what is not there yet, rank, and say where everything lies."""
    with told_once():
        if request.mat:
            require_scipy()
        path = checkpoint_file(request.checkpoint)
        checkpoint = load_checkpoint(path)
        require_card(checkpoint, path)
        card = checkpoint.card
        config = _configuration(request, parse(card["config"], options_of))
        dataset = dataset_of(request, config)
        embedder = build_embedder(config)
        try:
            embedder.load_state_dict(checkpoint.model)
        except RuntimeError as error:
            raise UserError(
                f"{path} does not hold the weights that its own card describes ({config.method} on"
                f" {config.model.backbone}); it was changed after it was written, take another one"
            ) from error
    place(embedder, device)
    how = Extraction.of(config, embedder, device)
    folder = config.output.features / config.name / path.stem / dataset.name
    if request.dataset is None and request.root is None and dataset.fingerprint() != card["target"]["fingerprint"]:
        logger.info("note: '%s' is not what it was when the run was evaluated in training", dataset.name)
    made_by = {
        "dataset": dataset.name,
        "checkpoint": sha256_of(path),
        "preprocessing": how.preprocessing.as_dict(),
        "scorer": embedder.scorer,
        "flip": how.flip,
    }
    query = _features(embedder, dataset.query, "query", folder, made_by, how)
    gallery = _features(embedder, dataset.gallery, "gallery", folder, made_by, how)
    if request.mat and idist.get_rank() == 0:
        for name, opened in (("query", query), ("gallery", gallery)):
            write_mat(folder / f"{name}.mat", opened.features, opened.paths)
            logger.info("wrote %s", folder / f"{name}.mat")
    started = time.perf_counter()
    scorer: Scorer = scorer_of(embedder.scorer)
    if request.rerank:
        scorer = Precomputed(-rerank(query.features.vectors, gallery.features.vectors), name=embedder.scorer)
    scores = rank(query.features, gallery.features, dataset.protocol, scorer, device, rerank=request.rerank)
    logger.info("ranked %d queries in %.1f s", len(dataset.query), time.perf_counter() - started)
    return Judgement(scores, card, dataset, folder, how.flip)


def dataset_of(request: Request, config: Config) -> Dataset:
    """The dataset that is judged on, with query and gallery."""
    name = request.dataset or config.target
    root = request.root or (config.target_root if name == config.target else None)
    return require(find(name, root), "query", "gallery")


def _configuration(request: Request, config: Config) -> Config:
    """The checkpoint's configuration with what was asked for differently."""
    asked: dict[str, dict[str, Any]] = {
        "test": {"flip": request.flip, "batch_size": request.batch_size},
        "data": {"workers": request.workers},
        "output": {"features": request.features},
    }
    given = {name: {key: value for key, value in keys.items() if value is not None} for name, keys in asked.items()}
    return config.changed(**given)


def _features(
    embedder: Embedder, split: Split, title: str, folder: Path, made_by: Mapping[str, Any], how: Extraction
) -> FeatureFile:
    """The features of one split, from disk when they are of this checkpoint and dataset."""
    there = folder / title
    manifest = {**made_by, "split": title, "fingerprint": split.fingerprint(modified=True)}
    reason = stale(there, manifest)
    if reason is None:
        logger.info("%s: using the features in %s", title, there)
        return read_features(there)
    logger.info("%s: extracting, since %s", title, reason)
    started = time.perf_counter()
    if idist.get_rank() == 0:
        with FeatureWriter(there, Rows(split.paths, columns_of(split)), manifest) as writer:
            extract(embedder, split, writer, how, title)
    else:
        extract(embedder, split, None, how, title)
    idist.barrier()
    seconds = time.perf_counter() - started
    logger.info("%s: %d pictures in %.1f s (%.0f a second)", title, len(split), seconds, len(split) / seconds)
    return read_features(there)
