"""A training run from its configuration: what is prepared, which handlers are attached and in what order."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Events
from ignite.handlers import EMAHandler

from common.errors import UserError
from common.files import write_text
from common.progress import watched
from configs.loader import dump, plain
from configs.schema import Config
from data.cache import open_cache
from data.loader import PictureLoader, Pictures
from data.samplers import build_batches
from data.transforms import Augmentation, Preprocessing
from engine.amp import Amp
from engine.checkpoint import CannotSave, Checkpoint, checkpoint_file, commit, load_checkpoint, versions
from engine.devices import place
from engine.evaluation import evaluate_network, mean_of
from engine.extraction import Extraction, Stopped
from engine.gradients import broadcast_state
from engine.handlers.batch_statistics import BatchStatistics
from engine.handlers.checkpoints import Checkpoints
from engine.handlers.epoch_order import EpochOrder
from engine.handlers.learning_rates import LearningRates
from engine.handlers.nonfinite import NonFiniteLoss
from engine.handlers.prepare import PrepareBatch
from engine.handlers.progress import Progress
from engine.handlers.report import Report
from engine.handlers.stages import Stages
from engine.handlers.stop import StopOnSignal
from engine.handlers.target_evaluation import TargetEvaluation, in_one_line
from engine.handlers.tensorboard import Curves
from engine.handlers.throughput import Throughput
from engine.launch import told_once
from engine.logs import MetricsFile, close_log, open_log
from engine.optimizers import build_optimizers
from engine.preparation import Prepared, agree, prepare
from engine.runs import Folders
from engine.state import RunState
from engine.trainer import TrainingStep, create_trainer
from engine.view import PlainView
from modeling.methods import build_embedder, build_method, without_pretrained
from modeling.methods.method import Method
from retrieval.ranking.results import Scores

logger = logging.getLogger("reid")


def train(config: Config, device: torch.device) -> int:
    """Run a configuration on this process's device; the exit status is 0, or 128 + the signal that stopped it."""
    with contextlib.ExitStack() as closing:
        with told_once():
            prepared = prepare(config, idist.get_world_size())
            agree(prepared)
            folders = Folders.of(config)
            if idist.get_rank() == 0:
                closing.enter_context(folders.locked())
                if prepared.checkpoint is None:
                    folders.set_logs_aside()
            open_log(folders.logs / "train.log")
            closing.callback(close_log)
            config = _to_remember(config)
            metrics = closing.enter_context(MetricsFile(folders.logs / "metrics.jsonl"))
            run = _Run(config, device, prepared, metrics, closing)
        return run.go()


def _to_remember(config: Config) -> Config:
    """The configuration as it is written down: used again, it starts nothing anew and finds the same folders."""
    root, target_root = config.data.root, config.data.target_root
    roots = tuple(map(_absolute, root)) if isinstance(root, tuple) else _absolute(root)
    poses = config.data.poses
    found = poses.model_copy(update={"folder": _absolute(poses.folder), "weights": _absolute(poses.weights)})
    data = {"root": roots, "target_root": _absolute(target_root), "poses": found}
    return config.changed(train={"restart": False}, data=data)


def _absolute(root: Path | None) -> Path | None:
    return None if root is None else root.expanduser().resolve()


class _Run:
    """The pieces of one run, put together in the order in which they depend on each other."""

    def __init__(
        self,
        config: Config,
        device: torch.device,
        prepared: Prepared,
        metrics: MetricsFile,
        closing: contextlib.ExitStack,
    ) -> None:
        self.config, self.device, self.prepared, self.metrics, self.closing = config, device, prepared, metrics, closing
        self.folders = Folders.of(config)
        torch.backends.cudnn.benchmark = True  # all batches have one shape
        rank, world = idist.get_rank(), idist.get_world_size()
        training_set, preprocessing = prepared.training_set, Preprocessing.of(config.data)

        batches = build_batches(config.batches, training_set.labels, training_set.domain, config.seed, rank, world)
        augmentation = Augmentation(config.data.augment, preprocessing)
        self.given = prepared.inputs.of(training_set.splits, device, config.data.augment)
        self.cache = open_cache(config.data, training_set.splits, preprocessing, idist.get_nproc_per_node())
        pictures = Pictures(training_set.file, preprocessing, augmentation, config.seed, self.cache, self.given.plain)
        self.batches = batches
        self.loader = closing.enter_context(
            PictureLoader(pictures, batches, config.data.workers, device.type == "cuda")
        )
        self.preparing = PrepareBatch(training_set, preprocessing, device, self.given)

        self.method = self._build_method()
        self.amp = Amp.of(config.train, device)
        self.amp.initialize(self.method)
        self.optimizers = build_optimizers(self.method.optimizers(), config, self.amp.master)
        torch.manual_seed(config.seed + rank)  # dropout and its kin differ between processes

        self.step = TrainingStep(
            self.method, self.optimizers, self.amp, config.train.clip_norm, config.train.accumulate
        )
        self.trainer = create_trainer(self.step)
        ema = config.train.ema
        averaged = None if ema is None else EMAHandler(self.method.embedder, 1 - ema, handle_buffers="update")
        self.state = RunState(self.method, self.optimizers, self.amp, self.trainer, self._card(), averaged)
        kept = config.train
        self.checkpoints = Checkpoints(self.folders, self.state, kept.checkpoint_every, kept.keep, kept.best)
        self.stop = self._attach()

    def go(self) -> int:
        """Train to the end or to a signal."""
        self._introduce()
        if self.prepared.checkpoint is not None:
            self._resume(self.prepared.checkpoint)
        started = time.perf_counter()
        self.stop.listen()
        try:
            if self.state.unjudged():
                self.trainer.fire_event(Events.EPOCH_COMPLETED)
            else:
                self.trainer.run(self.loader, max_epochs=self.config.train.epochs, epoch_length=len(self.loader))
            if self.prepared.validation and not self.stop.received:
                self._judge_the_target()
        except CannotSave:
            raise
        except Exception:
            self.checkpoints.rescue()
            raise
        if self.stop.received:
            return 128 + self.stop.received
        logger.info("finished in %.0f s", time.perf_counter() - started)
        if idist.get_rank() == 0:
            device = self.device.index if self.device.type == "cuda" else "cpu"
            chosen = self.folders.checkpoints if self.prepared.validation else self.folders.epochs()[-1]
            on = f" --dataset {self.prepared.target.name}" if self.prepared.judged_instead else ""
            logger.info("evaluate with: python3 eval.py %s %s%s", device, chosen, on)
        return 0

    def _judge_the_target(self) -> None:
        """The chosen checkpoint on the target, whose test set nothing was chosen by; this once."""
        path, target = checkpoint_file(self.folders.checkpoints), self.prepared.target
        chosen = load_checkpoint(path)
        embedder = place(build_embedder(self.config), self.device)
        embedder.load_state_dict(chosen.model)
        broadcast_state(embedder)  # a shared disk may show a process an older file
        how = Extraction.of(self.config, embedder, self.device, self.prepared.inputs)
        try:
            scores = evaluate_network(embedder, target, how, self.stop.requested)
        except Stopped:
            logger.info("the target was not judged; python3 eval.py DEVICE %s does that", path)
            return
        epoch = chosen.card["epoch"]
        logger.info("%s (epoch %d) on the target %s: %s", path, epoch, target.name, in_one_line(scores))
        facts = {"set": "target", "dataset": target.name, "checkpoint": path.name}
        self.metrics.write("evaluation", epoch=epoch, **facts, **scores.as_dict())

    def _build_method(self) -> Method:
        """The same network on every process, then a random stream of its own for each."""
        config = self.config
        torch.manual_seed(config.seed)
        if self.prepared.checkpoint is not None:  # its weights come from there
            config = without_pretrained(config)
        method = place(build_method(config, self.preparing.facts), self.device)
        broadcast_state(method)
        return method

    def _attach(self) -> StopOnSignal:
        """All handlers. Those of one event run in the order of this function."""
        config, trainer, optimizers = self.config.train, self.trainer, self.optimizers
        main = next(iter(optimizers.values()))
        recipes, training_set = self.method.optimizers(), self.prepared.training_set
        schedules = {name: recipes[name].schedule or self.config.schedule for name in optimizers}
        how = Extraction.of(self.config, self.method.embedder, self.device, self.prepared.inputs)
        stop = StopOnSignal(self.checkpoints.save_interrupted, every=config.accumulate)
        prepared = self.prepared
        on = prepared.judged_on if prepared.validation else ""

        def evaluate() -> Scores:
            network, each = self.state.network(), []
            for dataset in prepared.validation or (prepared.target,):
                each.append(evaluate_network(network, dataset, how, stop.requested))
                if len(prepared.validation) > 1:
                    logger.info("%s: %s", dataset.name, in_one_line(each[-1]))
                    epoch = self.trainer.state.epoch
                    self.metrics.write("evaluation-part", epoch=epoch, dataset=dataset.name, **each[-1].as_dict())
            return mean_of(each)

        throughput = Throughput()
        EpochOrder(self.batches).attach(trainer)
        self.preparing.attach(trainer)
        Stages(self.method, config.epochs, self.config.seed).attach(trainer)
        LearningRates(optimizers, schedules, config.epochs).attach(trainer)
        NonFiniteLoss(training_set.file).attach(trainer)
        batch_size, workers = self.config.test.batch_size, self.config.data.workers
        plain = prepared.inputs.of(training_set.splits, self.device)
        view = PlainView(
            *(training_set, self.preparing, batch_size, workers, self.cache, plain),
            folder=self.folders.checkpoints,
            pad=self.config.data.augment.pad,
            network=self.state.network,
            stopping=stop.requested,
        )
        for handler in self.method.handlers(view):
            handler.attach(trainer)
        if self.state.averaged is not None:
            steps = Events.ITERATION_COMPLETED(event_filter=self.step.is_step)
            self.state.averaged.attach(trainer, event=steps)
        throughput.attach(trainer)
        Report(self.metrics, throughput, main, config.log_every).attach(trainer)
        BatchStatistics(*self.state.networks()).attach(trainer)
        facts = {"set": prepared.judged["set"], "dataset": prepared.judged["name"]}
        TargetEvaluation(evaluate, config.evaluate_every, self.metrics, facts, on).attach(trainer)
        if self.prepared.checkpoint is None and idist.get_rank() == 0:
            # Only now, when the new run has proved that it can start, does an old one of its name go.
            trainer.add_event_handler(Events.STARTED, self.folders.clear)
        if idist.get_rank() == 0:
            curves = Curves(self.folders.logs, main, self.prepared.judged["set"])
            self.closing.callback(curves.close)
            curves.attach(trainer)
            if watched():
                Progress("epoch").attach(trainer)
        self.checkpoints.attach(trainer)
        stop.attach(trainer)
        return stop

    def _card(self) -> dict[str, object]:
        config, prepared = self.config, self.prepared
        return {
            "name": config.name,
            "method": config.method,
            "config": plain(config),
            "preprocessing": Preprocessing.of(config.data).as_dict(),
            "scorer": self.method.embedder.scorer,
            "num_classes": prepared.training_set.num_classes,
            "pictures": prepared.pictures,
            "label_map": prepared.training_set.label_map_hash(),
            "trained_on": prepared.trained_on,
            "inputs": prepared.inputs_facts,
            "source": prepared.source,
            "target": {"name": prepared.target.name, "fingerprint": prepared.target_fingerprint},
            "judged": prepared.judged,
            "best_by": f"{config.train.best} on {prepared.judged_on}",
            "versions": versions(),
            "commit": commit(),
        }

    def _introduce(self) -> None:
        """Say what is about to be trained, on what and where it goes."""
        config, folders = self.config, self.folders
        world = idist.get_world_size()
        for name, term in self.method.terms().items():
            if term.weight and term.from_epoch > config.train.epochs:
                logger.info("loss '%s' begins in epoch %d, after the last one", name, term.from_epoch)
        for dataset in (*self.prepared.datasets, *self.prepared.validation):
            logger.info("%s", dataset.summary())
        learned = [
            f"{part['name']}{'' if part['labels'] else ' (without identities)'}" for part in self.prepared.trained_on
        ]
        if len(learned) > 1:
            logger.info("learning from %s", " and ".join(learned))
        for name, words in self.given.words.items():
            logger.info("%s beside the pictures: %s", name, words)
        size = sum(parameter.numel() for parameter in self.method.parameters()) / 1e6
        logger.info(
            "run '%s': %s on %s, %.1f M parameters, %s, %d process%s on %s, batches of %d (%d an epoch), %d epochs",
            *(config.name, config.method, config.model.backbone, size, self.amp, world, "es" if world > 1 else ""),
            *(self.device, config.batches.size, len(self.loader), config.train.epochs),
        )
        if self.prepared.judged_instead:
            assert self.prepared.adapted is not None
            names = self.prepared.adapted.name, self.prepared.target.name
            logger.info("'%s' has no query and gallery: all scores are of the source %s", *names)
        if self.prepared.validation:
            logger.info(
                "best.pt: by %s on %s; the test set of %s is judged once, at the end",
                *(config.train.best, self.prepared.judged_on, self.prepared.target.name),
            )
        logger.info("checkpoints in %s, logs in %s", folders.checkpoints, folders.logs)
        if idist.get_rank() == 0:
            write_text(folders.checkpoints / "config.yml", "# The whole configuration of this run.\n" + dump(config))

    def _judged_alike(self, card: Mapping[str, Any]) -> bool:
        """Whether the best score of a checkpoint can be compared with those to come."""
        same = card["config"]["train"]["best"] == self.config.train.best
        judged = card.get("judged") or {"set": "target", **card["target"]}
        now = self.prepared.judged
        return bool(same and all(judged[key] == now[key] for key in ("set", "fingerprint")))

    def _resume(self, checkpoint: Checkpoint) -> None:
        self.state.restore(checkpoint)
        iteration, length = checkpoint.training["iteration"], checkpoint.training["epoch_length"]
        if length != len(self.loader):
            raise UserError(
                f"an epoch had {length} batches when the run '{self.config.name}' was stopped, now it has"
                f" {len(self.loader)}; put the dataset and the batches back as they were"
            )
        position = {"iteration": iteration, "epoch_length": length, "max_epochs": self.config.train.epochs}
        self.trainer.load_state_dict(position)
        if not self._judged_alike(checkpoint.card):
            self.state.best = None
        self.prepared = replace(self.prepared, checkpoint=None)  # a whole copy of everything
        logger.info("going on after %d of %d iterations", iteration, length * self.config.train.epochs)
