"""A checkpoint judged on a dataset: features once into their folder, then scores from there."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import ignite.distributed as idist
import torch

from common.errors import UserError, did_you_mean
from common.ranks import largest
from configs.loader import override, parse, plain
from configs.schema import Config, Poses
from data.catalog import find
from data.samples import Dataset, Split, require
from engine.calibration import Calibration, calibrate, calibrations, require_writable, write
from engine.card import identity_of
from engine.checkpoint import checkpoint_file, load_checkpoint, load_weights, require_card
from engine.conditional import Conditionally, Plan
from engine.devices import place
from engine.evaluation import validation_of
from engine.extraction import Extraction, columns_of, extract
from engine.gather import team
from engine.inputs import Inputs, RowInputs
from engine.launch import told_once
from modeling.methods import build_embedder, method_class, options_of
from modeling.methods.method import Embedder
from retrieval.files.feature_file import FeatureFile, read_features, stale
from retrieval.files.feature_writer import FeatureWriter, Rows
from retrieval.files.matlab import require_scipy, write_mat
from retrieval.protocols import protocol as protocol_of
from retrieval.ranking.results import Scores
from retrieval.reranking.conditional import Conditional
from retrieval.scorers import scorer as scorer_of
from retrieval.study import Answer, Question, Reranking, study
from retrieval.verification.population import Population
from retrieval.verification.verify import Verification

logger = logging.getLogger("reid")

POSES_FROM = {"hrnet": "weights", "cached": "folder", "keypoints": "file"}
"""The key of `data.poses` that says where a source's poses lie."""


@dataclass(frozen=True)
class Request:
    """What `eval.py` was asked for; None means: as the checkpoint says.

    Attributes:
        dataset, root: what to judge on; the checkpoint's target by default.
        validation: judge on the people that the run held out of its source instead; `dataset` says of which source.
        features: the folder that holds all runs' features.
        flip: add the mirrored picture's feature.
        rerank: k-reciprocal re-ranking.
        expand, index: names in `EXPANSIONS`, or "none", and in `INDEXES`.
        protocols: names; the dataset's own by default.
        cameras: judge by pairs of cameras as well.
        calibrate: write the threshold for this false accept rate, under the first protocol, on the checkpoint's card.
        conditional: also compare pictures given each other.
        conditionally: how; by default as the card says, or with `validation` as the best of some.
        mat: write MATLAB files beside the features.
        poses: where poses come from, for a network that needs them (`configs.schema.Poses.source`).
        poses_from: its file or folder.
        shuffle_poses: a control: every picture gets another picture's.
        settings: `options.key=value` for options that nothing learned depends on (`Method.free_options`).
    """

    checkpoint: Path
    dataset: str | None = None
    root: Path | None = None
    validation: bool = False
    features: Path | None = None
    flip: bool | None = None
    rerank: bool | None = None
    expand: str | None = None
    index: str | None = None
    protocols: Sequence[str] | None = None
    cameras: bool = False
    calibrate: float | None = None
    conditional: bool = False
    conditionally: Conditional | None = None
    mat: bool = False
    batch_size: int | None = None
    workers: int | None = None
    poses: str | None = None
    poses_from: Path | None = None
    shuffle_poses: bool = False
    settings: Sequence[str] = ()

    @property
    def other_poses(self) -> bool:
        """Whether the network is shown other poses than the checkpoint says."""
        return self.poses is not None or self.poses_from is not None or self.shuffle_poses


@dataclass(frozen=True)
class Judgement:
    """The scores and what they are of.

    Attributes:
        answer: the scores, by protocol.
        folder: of the features.
        inputs: what the network was given beside the gallery's pictures.
        calibration: the card's for this dataset, view and protocol, perhaps of just now.
        verification: what it was made of, if it was just now.
        conditional: the scores of pictures given each other, if they were asked for.
    """

    answer: Answer
    card: Mapping[str, Any]
    dataset: Dataset
    folder: Path
    flip: bool
    inputs: RowInputs
    calibration: Calibration | None = None
    verification: Verification | None = None
    conditional: Conditionally | None = None

    @property
    def scores(self) -> Scores:
        """Of the first protocol."""
        return next(iter(self.answer.scores.values()))


def judge(request: Request, device: torch.device) -> Judgement:
    """Extract what is not there yet, rank, and say where everything lies."""
    with told_once():
        if request.mat:
            require_scipy()
        path = checkpoint_file(request.checkpoint)
        checkpoint = load_checkpoint(path)
        require_card(checkpoint, path)
        card = checkpoint.card
        trained = parse(card["config"], options_of)
        config = _configuration(request, _set(request, card["config"], trained))
        dataset = dataset_of(request, config)
        if request.validation and dataset.fingerprint() not in card["judged"]["fingerprint"]:
            raise UserError(
                f"{dataset.train.root} does not hold the pictures that the run '{config.name}' held people out of, so"
                " some of them may have been trained on; put the dataset back as it was, or give its folder with --root"
            )
        embedder = build_embedder(config)
        question = _question(request, config, dataset, embedder.scorer)
        plan = _plan(request, path, card, embedder, question)
        inputs = _inputs(request, config, embedder, dataset)
        load_weights(embedder, checkpoint, path)
        if request.calibrate is not None:  # before hours of extraction
            require_writable(path)
            query_labels, gallery_labels = columns_of(dataset.query), columns_of(dataset.gallery)
            Population.of(query_labels, gallery_labels, protocol_of(question.protocols[0])).require(request.calibrate)
        identity = identity_of(checkpoint)
        if config.options != trained.options:  # other features: they must not be taken for each other
            told = {**card, "config": {**card["config"], "options": plain(config)["options"]}}
            identity = identity_of(replace(checkpoint, card=told))
    place(embedder, device)
    how = Extraction.of(config, embedder, device, inputs)
    folder = config.output.features / config.name / path.stem / dataset.name
    own = request.dataset is None and request.root is None and not request.validation
    if own and dataset.fingerprint() != card["target"]["fingerprint"]:
        logger.info("note: '%s' is not what it was when the run was evaluated in training", dataset.name)
    made_by = {
        "dataset": dataset.name,
        "checkpoint": identity,
        "preprocessing": how.preprocessing.as_dict(),
        "scorer": embedder.scorer,
        "flip": how.flip,
        "protocol": dataset.protocol,
    }
    given = inputs.of([dataset.gallery], device)
    query = _features(embedder, dataset.query, "query", folder, made_by, how)
    gallery = _features(embedder, dataset.gallery, "gallery", folder, made_by, how)
    if request.mat and idist.get_rank() == 0:
        for name, opened in (("query", query), ("gallery", gallery)):
            write_mat(folder / f"{name}.mat", opened.features, opened.paths)
            if opened.features.parts is not None:
                logger.info("%s.mat holds the whole vector alone; parts and visibility are in %s", name, folder / name)
            logger.info("wrote %s", folder / f"{name}.mat")
    # Each process looks at a share of the gallery, and what is wrong in it only that one can tell.
    answer = study(query.features, gallery.features, question, device=device, team=team())
    logger.info("ranked %d queries in %.1f s (%s)", len(dataset.query), answer.seconds, answer.backend)
    if request.calibrate is None:
        judged = next(iter(answer.scores))
        entries = [] if request.other_poses or request.settings else calibrations(card)
        known = (entry for entry in entries if entry.is_of(dataset.name, how.flip, judged))
        paired: Conditionally | None = None
        if plan is not None:
            first = answer.scores[judged]
            paired = plan.carried_out(query.features, gallery.features, dataset, first, folder, made_by, how)
        return Judgement(answer, card, dataset, folder, how.flip, given, next(known, None), conditional=paired)
    rule = protocol_of(question.protocols[0])
    found = calibrate(scorer_of(embedder.scorer), query.features, gallery.features, rule, request.calibrate, device)
    with told_once():
        entry = Calibration.of(found, dataset, how.flip)
        write(path, entry, identity)
    logger.info("wrote the threshold to %s", path)
    return Judgement(answer, card, dataset, folder, how.flip, given, entry, found)


def dataset_of(request: Request, config: Config) -> Dataset:
    """The dataset that is judged on, with query and gallery."""
    if request.validation:
        return _held_out(request, config)
    name = request.dataset or config.target
    root = request.root or (config.target_root if name == config.target else None)
    return require(find(name, root), "query", "gallery")


def _held_out(request: Request, config: Config) -> Dataset:
    """The people that the run held out of its source, or of the one of its sources that is asked for."""
    if not config.data.validation:
        raise UserError(
            f"the run '{config.name}' held nobody out (data.validation=0); leave --validation out, or train with"
            " data.validation=0.1"
        )
    root = None if request.root is None else request.root.expanduser().resolve()
    sources = [source for source in config.data.sources if request.dataset in (None, source[0])]
    if len(sources) > 1:
        sources = [source for source in sources if source[1] == root] or sources
    if len(sources) != 1:
        names = ", ".join(name for name, _ in config.data.sources)
        raise UserError(
            f"--validation judges on the people held out of one dataset that the run '{config.name}' learned from"
            f" ({names}); say which with --dataset NAME, and --root where a name comes twice"
        )
    name, trained = sources[0]
    return validation_of(find(name, root or trained), config.data.validation, config.seed)


def _configuration(request: Request, config: Config) -> Config:
    """The checkpoint's configuration with what was asked for differently."""
    asked: dict[str, dict[str, Any]] = {
        "test": {"flip": request.flip, "batch_size": request.batch_size},
        "data": {"workers": request.workers, "poses": _poses(request, config)},
        "output": {"features": request.features},
        "retrieval": {"rerank": request.rerank, "expand": request.expand, "index": request.index},
    }
    given = {name: {key: value for key, value in keys.items() if value is not None} for name, keys in asked.items()}
    return config.changed(**given)


def _set(request: Request, card: Mapping[str, Any], config: Config) -> Config:
    """The checkpoint's configuration with the options that were asked for, which nothing learned depends on."""
    if not request.settings:
        return config
    free = sorted(f"options.{name}" for name in method_class(config.method).free_options)
    keys = [each.partition("=")[0] for each in request.settings]
    other = next((key for key in keys if key not in free), None)
    if other is not None:
        learned = other.removeprefix("options.").partition(".")[0] in options_of(config.method).model_fields
        close = "" if learned else did_you_mean(other, free)
        why = "decides what was learned" if learned else "is none of its options"
        may = close or f"; what may be set: {', '.join(free) or 'nothing'}"
        raise UserError(f"--set {other} {why} in the run '{config.name}' ({config.method}){may}")
    if request.calibrate is not None or (request.conditional and request.conditionally is None):
        raise UserError(
            "--set compares pictures otherwise than the card says, and what --calibrate and --conditional keep there is"
            " of the run's own settings; leave one of the two out"
        )
    return override(card, request.settings, options_of)


def _poses(request: Request, config: Config) -> Poses | None:
    """Other poses than the checkpoint's, if they were asked for."""
    if not request.other_poses:
        return None
    source = request.poses or config.data.poses.source
    given: dict[str, Any] = {"source": source, "shuffled": request.shuffle_poses or config.data.poses.shuffled}
    if request.poses_from is not None:
        if source not in POSES_FROM:
            raise UserError("--poses-from names a file or folder, and zeros come from nowhere; leave it out")
        given[POSES_FROM[source]] = request.poses_from.expanduser().resolve()
    return config.data.poses.model_copy(update=given)


def _inputs(request: Request, config: Config, embedder: Embedder, dataset: Dataset) -> Inputs:
    """What the network is given beside the pictures; whether it is all there is looked at before anything else."""
    if request.other_poses and "poses" not in embedder.inputs:
        raise UserError(
            f"the run '{config.name}' ({config.method}) looks at pictures only; leave --poses, --poses-from and"
            " --shuffle-poses out"
        )
    if request.other_poses and request.calibrate is not None:
        raise UserError(
            "--calibrate keeps a threshold for the checkpoint's own poses; leave --poses, --poses-from and"
            " --shuffle-poses out"
        )
    inputs = Inputs(embedder.inputs, config)
    try:
        for split in (dataset.query, dataset.gallery):
            inputs.of([split], torch.device("cpu"))
    except UserError as error:
        others = ", ".join(get_args(Poses.model_fields["source"].annotation))
        raise UserError(
            f"{error}; or judge with poses from elsewhere: --poses SOURCE [--poses-from PATH], where SOURCE is one of"
            f" {others}"
        ) from None
    return inputs


def _question(request: Request, config: Config, dataset: Dataset, scorer: str) -> Question:
    """What is asked of the features, checked before they are extracted."""
    how = config.retrieval
    if request.calibrate is not None and (how.rerank or how.expand != "none"):
        raise UserError(
            "a threshold for two pictures cannot be found on re-ranked or expanded features, which depend on the whole "
            "gallery: --calibrate needs --no-rerank and --expand none"
        )
    if request.index is not None and not how.rerank and how.expand == "none":
        raise UserError(
            "--index says what finds the neighbours for re-ranking and expansion, and neither is on: give --rerank or "
            "--expand too, or leave --index out"
        )
    question = Question(
        protocols=request.protocols or [dataset.protocol],
        scorer=scorer,
        expand=None if how.expand == "none" else how.expand,
        rerank=Reranking(how.k1, how.k2, how.lam) if how.rerank else None,
        index=how.index,
        cameras=request.cameras,
        dataset=dataset.name,
        own=dataset.protocol,
    )
    question.check()
    if request.calibrate is None:
        question.lacking(columns_of(dataset.query), columns_of(dataset.gallery))
    else:
        protocol_of(question.protocols[0]).require_one_gallery("a threshold for two pictures")
    return question


def _plan(request: Request, path: Path, card: Mapping[str, Any], embedder: Embedder, question: Question) -> Plan | None:
    """How pictures are compared given each other, if that is asked for."""
    if not request.conditional:
        return None
    if request.calibrate is not None:
        raise UserError("--calibrate finds a threshold for two pictures alone, not for --conditional; leave one out")
    return Plan.of(path, card, embedder, question, request.conditionally, request.validation)


def _features(
    embedder: Embedder, split: Split, title: str, folder: Path, made_by: Mapping[str, Any], how: Extraction
) -> FeatureFile:
    """The features of one split, from disk when they are of this checkpoint and dataset."""
    there = folder / title
    beside = how.inputs.of([split], how.device).facts
    manifest = {**made_by, **beside, "split": title, "fingerprint": split.fingerprint(modified=True)}
    reason = stale(there, manifest)
    # Process 0 decides: on another machine the files of the same dataset have other numbers and times.
    if not largest(int(reason is not None and idist.get_rank() == 0)):
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
