"""Everything of a run that can be wrong before it starts, looked at before anything is touched."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from common.errors import UserError, did_you_mean
from configs.schema import Config
from data.catalog import find
from data.samplers import build_batches
from data.samples import Dataset, require
from data.training_set import TrainingSet
from data.transforms import Preprocessing
from engine.checkpoint import Checkpoint
from engine.gather import agreed
from engine.handlers.prepare import PrepareBatch
from engine.optimizers import optimizer_builder
from engine.runs import Folders, to_resume
from modeling.backbones import ensure_downloaded
from modeling.methods import build_method, without_pretrained
from retrieval.ranking.results import METRICS


@dataclass(frozen=True)
class Prepared:
    """What a run needs."""

    source: Dataset
    target: Dataset
    training_set: TrainingSet
    pictures: str  # fingerprint of what is trained on
    source_fingerprint: str  # of all splits; asking for one looks at every file, so it is done once
    target_fingerprint: str
    checkpoint: Checkpoint | None  # to go on from


def prepare(config: Config, world: int) -> Prepared:
    """Read the datasets, fetch weights, look at the run's folder; most mistakes of the user's show here.

    Args:
        world: how many processes there are, or will be.

    Raises:
        UserError: of the configuration, the datasets, the folders or an earlier run of the same name.
    """
    if config.train.best not in METRICS:
        hint = did_you_mean(config.train.best, METRICS) or f"; known: {', '.join(METRICS)}"
        raise UserError(f"train.best={config.train.best} is not a score{hint}")
    if config.train.ema is not None and config.train.opt_level == "O2":
        raise UserError("train.ema needs float32 weights to average; set train.opt_level to O0 or O1")
    source = require(find(config.data.source, config.data.root), "train")
    same = config.target == config.data.source and config.target_root == config.data.root
    target = require(source if same else find(config.target, config.target_root), "query", "gallery")
    training_set = TrainingSet.of([source.train])
    build_batches(config.batches, training_set.labels, config.seed, 0, world)
    _check_names(config, training_set)
    pictures = source.train.fingerprint()
    checkpoint = to_resume(config, pictures)
    if checkpoint is None:
        ensure_downloaded(config.model.backbone, config.model.pretrained)
    Folders.of(config).make()
    of_source = source.fingerprint()
    of_target = of_source if target is source else target.fingerprint()
    return Prepared(source, target, training_set, pictures, of_source, of_target, checkpoint)


def _check_names(config: Config, training_set: TrainingSet) -> None:
    """Build the method without memory for its weights: a name that is unknown shows before anything is touched."""
    nowhere = torch.device("meta")
    with nowhere:
        facts = PrepareBatch(training_set, Preprocessing.of(config.data), nowhere).facts
        method = build_method(without_pretrained(config), facts)
    for recipe in method.optimizers().values():
        optimizer_builder((recipe.optimizer or config.optimizer).name)


def agree(prepared: Prepared) -> None:
    """Refuse to start when the processes, perhaps on several machines, see different pictures or checkpoints."""
    iteration = prepared.checkpoint.training["iteration"] if prepared.checkpoint else 0
    if not agreed(prepared.pictures + prepared.target_fingerprint):
        raise UserError("the processes see different pictures; give all machines the same datasets")
    if not agreed(str(iteration)):
        raise UserError(
            "the processes see different checkpoints of this run; put output.checkpoints on a disk all machines share"
        )
