"""Everything of a run that can be wrong before it starts, looked at before anything is touched."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from common.contracts import TARGET, UNKNOWN
from common.errors import UserError, did_you_mean
from common.ranks import agreed
from configs.schema import Config
from data.catalog import find
from data.samplers import build_batches
from data.samples import Dataset, Split, require
from data.training_set import TrainingSet
from data.transforms import Preprocessing
from engine.checkpoint import Checkpoint
from engine.evaluation import validation_of
from engine.handlers.prepare import PrepareBatch
from engine.inputs import Inputs
from engine.optimizers import optimizer_builder
from engine.runs import Folders, to_resume
from modeling.backbones import ensure_downloaded
from modeling.methods import METHODS, build_method, method_class, without_pretrained
from modeling.methods.method import Method
from retrieval.ranking.results import METRICS


@dataclass(frozen=True)
class Prepared:
    """What a run needs."""

    sources: tuple[Dataset, ...]
    target: Dataset  # judged on; the first source that can be, when the one adapted to has nothing to be judged by
    adapted: Dataset | None  # whose training pictures are learned from without their identities
    validation: tuple[Dataset, ...]  # of each source: what is left of its people, and those held out; none: no such
    training_set: TrainingSet
    pictures: str  # fingerprint of what is trained on
    source_fingerprints: tuple[str, ...]  # of all splits; asking for one looks at every file, so it is done once
    target_fingerprint: str
    adapted_fingerprint: str
    validation_fingerprints: tuple[str, ...]
    checkpoint: Checkpoint | None  # to go on from
    inputs: Inputs  # of what the network is given beside the pictures
    inputs_facts: dict[str, dict[str, Any]]  # what those of the training pictures are made of

    @property
    def datasets(self) -> tuple[Dataset, ...]:
        """Each once, the sources first."""
        every = [*self.sources, *([self.adapted] if self.adapted is not None else []), self.target]
        return tuple({id(dataset): dataset for dataset in every}.values())

    @property
    def source(self) -> dict[str, str]:
        """Name and fingerprint of the source, or of all sources as if they were one."""
        name = " + ".join(source.name for source in self.sources)
        told = "".join(self.source_fingerprints)
        one = len(self.sources) == 1
        return {"name": name, "fingerprint": told if one else hashlib.sha256(told.encode()).hexdigest()[:16]}

    @property
    def trained_on(self) -> list[dict[str, object]]:
        """Whose training pictures are learned from, in the order of the rows, and whether with their identities."""
        learned = [(*told, True) for told in zip(self.sources, self.source_fingerprints, strict=True)]
        if TARGET in self.training_set.domain:
            assert self.adapted is not None
            learned.append((self.adapted, self.adapted_fingerprint, False))
        return [
            {"name": dataset.name, "fingerprint": fingerprint, "images": len(split), "labels": labels}
            for (dataset, fingerprint, labels), split in zip(learned, self.training_set.splits, strict=True)
        ]

    @property
    def judged_instead(self) -> bool:
        """Whether scores are of a source, because what is adapted to has no query and gallery."""
        return self.adapted is not None and self.target is not self.adapted

    @property
    def judged(self) -> dict[str, str]:
        """What epochs are judged by: the kind of set, its name, and a fingerprint that changes with it."""
        if not self.validation:
            kind = "source" if self.judged_instead else "target"
            return {"set": kind, "name": self.target.name, "fingerprint": self.target_fingerprint}
        name = " + ".join(dataset.name for dataset in self.validation)
        return {"set": "validation", "name": name, "fingerprint": "+".join(self.validation_fingerprints)}

    @property
    def judged_on(self) -> str:
        """The same in words."""
        if not self.validation:
            whose = f"the source {self.target.name}" if self.judged_instead else "the target"
            return f"{whose}'s query and gallery"
        held_out = " and ".join(
            f"{dataset.gallery.identities:,} held-out people of {source.name}"
            for dataset, source in zip(self.validation, self.sources, strict=True)
        )
        return f"{held_out}{', on average' if len(self.validation) > 1 else ''}"


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
    adapts = method_class(config.method).adapts
    _check_batches(config, adapts)
    sources = [require(find(name, root), "train") for name, root in config.data.sources]
    _check_clothes(config, sources)
    judged = (config.target, config.target_root)
    same = config.data.sources.index(judged) if judged in config.data.sources else None
    target = find(*judged, key="data.target_root") if same is None else sources[same]
    adapted = target if adapts else None
    if adapted is not None:
        _check_target(config, sources, adapted)
        target = _judged_instead(sources, adapted)
    require(target, "query", "gallery")
    validation = _held_out(config, sources, adapts)
    left = [dataset.train for dataset in validation or sources]
    training_set = TrainingSet.of(left, [] if adapted is None else [adapted.pictures_to_adapt_to])
    build_batches(config.batches, training_set.labels, training_set.domain, config.seed, 0, world)
    inputs = Inputs(_check_names(config, training_set).embedder.inputs, config)
    inputs_facts = _check_inputs(config, inputs, training_set, [*validation, target])
    pictures = training_set.fingerprint()
    checkpoint = to_resume(config, pictures, inputs_facts)
    if checkpoint is None:
        ensure_downloaded(config.model.backbone, config.model.pretrained)
    Folders.of(config).make()
    of_sources = tuple(source.fingerprint() for source in sources)
    known = {id(source): fingerprint for source, fingerprint in zip(sources, of_sources, strict=True)}
    of_target = known.get(id(target)) or target.fingerprint()
    of_adapted = "" if adapted is None else of_target if adapted is target else adapted.fingerprint()
    of_validation = tuple(dataset.fingerprint() for dataset in validation)
    found = (tuple(sources), target, adapted, validation, training_set)
    fingerprints = (pictures, of_sources, of_target, of_adapted, of_validation)
    return Prepared(*found, *fingerprints, checkpoint, inputs, inputs_facts)


def _judged_instead(sources: Sequence[Dataset], adapted: Dataset) -> Dataset:
    """What a network is judged on that adapts to a dataset: that one, or where it has no test set, a source."""
    if len(adapted.query) or len(adapted.gallery):
        return adapted
    return next((source for source in sources if len(source.query) and len(source.gallery)), adapted)


def _held_out(config: Config, sources: Sequence[Dataset], adapts: bool) -> tuple[Dataset, ...]:
    """Of each source, when people are to be held out, the dataset without and with them."""
    share = config.data.validation
    if not share:
        return ()
    divided = [validation_of(source, share, config.seed) for source in sources]
    if adapts:
        note = "the target has no labels to choose epochs by: what is best here need not be best there"
        divided = [replace(dataset, notes=(*dataset.notes, note)) for dataset in divided]
    return tuple(divided)


def _check_batches(config: Config, adapts: bool) -> None:
    """Batches of two domains are for methods that learn from both, and for all of those."""
    kind = config.batches.kind
    if adapts and kind != "domains":
        raise UserError(
            f"method '{config.method}' learns from source and target at once, and batches.kind={kind} does not hold"
            " both; set batches.kind=domains"
        )
    if not adapts and kind == "domains":
        adapting = ", ".join(name for name, method in METHODS.items() if method.adapts)
        others = f", or choose a method that adapts: {adapting}" if adapting else ""
        raise UserError(
            f"batches.kind=domains is half source and half target, and method '{config.method}' learns from the source"
            f" only; set batches.kind=identity or random{others}"
        )


def _check_clothes(config: Config, sources: Sequence[Dataset]) -> None:
    """A method that learns from clothes must be told them; what a person wears is not guessed."""
    if not method_class(config.method).needs_clothes:
        return
    others = ", ".join(name for name, method in METHODS.items() if not method.needs_clothes)
    for source in sources:
        missing = int((source.train.clothes == UNKNOWN).sum())
        if missing:
            raise UserError(
                f"method '{config.method}' learns from what people wear, and dataset '{source.name}' does not tell it"
                f" of {missing:,} of {len(source.train):,} training pictures; methods that do not need it: {others}"
            )


def _check_target(config: Config, sources: Sequence[Dataset], target: Dataset) -> None:
    """Whether the target can be adapted to."""
    asking = f"method '{config.method}' adapts to the target's training pictures"
    needs_cameras = method_class(config.method).needs_cameras(config.options)
    pictures = target.pictures_to_adapt_to
    without_camera = int((pictures.camids == UNKNOWN).sum())
    if pictures.fingerprint() in [source.train.fingerprint() for source in sources]:
        raise UserError(
            f"{asking}, and the target '{target.name}' is what it learns from as the source; set data.target (and"
            " data.target_root) to another dataset"
        )
    twice = _files(pictures) & {file for source in sources for file in _files(source.train)}
    if twice:
        raise UserError(
            f"{asking}, and {len(twice):,} of those of '{target.name}' are also learned from with their labels, such as"
            f" {min(twice)}; give the two other pictures"
        )
    if not len(pictures):
        raise UserError(
            f"{asking}, and dataset '{target.name}' at {target.train.root} has none; choose another data.target, or a"
            " method that does not adapt"
        )
    if needs_cameras and without_camera:
        others = ", ".join(name for name, method in METHODS.items() if not method.needs_cameras(method.Options()))
        raise UserError(
            f"method '{config.method}' needs to know the camera of every target picture, and dataset '{target.name}'"
            f" does not tell it of {without_camera} of {len(pictures)} training pictures; methods that do not:"
            f" {others}"
        )


def _files(split: Split) -> set[str]:
    root = split.root.resolve()
    return {f"{root}/{path}" for path in split.paths}


def _check_names(config: Config, training_set: TrainingSet) -> Method:
    """Build the method without memory for its weights: a name that is unknown shows before anything is touched."""
    nowhere = torch.device("meta")
    with nowhere:
        facts = PrepareBatch(training_set, Preprocessing.of(config.data), nowhere).facts
        method = build_method(without_pretrained(config), facts)
    for recipe in method.optimizers().values():
        optimizer_builder((recipe.optimizer or config.optimizer).name)
    return method


def _check_inputs(
    config: Config, inputs: Inputs, training_set: TrainingSet, judged: Sequence[Dataset]
) -> dict[str, dict[str, Any]]:
    """Whether all that the network is given beside the pictures is there; what that of the training pictures is."""
    here = torch.device("cpu")
    for dataset in judged:
        for split in (dataset.query, dataset.gallery):
            inputs.of([split], here)
    return inputs.of(training_set.splits, here, config.data.augment).facts


def agree(prepared: Prepared) -> None:
    """Refuse to start when the processes, perhaps on several machines, see different pictures or checkpoints."""
    iteration = prepared.checkpoint.training["iteration"] if prepared.checkpoint else 0
    if not agreed("".join((prepared.pictures, prepared.target_fingerprint, *prepared.validation_fingerprints))):
        raise UserError("the processes see different pictures; give all machines the same datasets")
    if not agreed(json.dumps(prepared.inputs_facts)):
        raise UserError(
            "the processes see different files of what the network is given beside the pictures"
            f" ({', '.join(prepared.inputs_facts)}); give all machines the same"
        )
    if not agreed(str(iteration)):
        raise UserError(
            "the processes see different checkpoints of this run; put output.checkpoints on a disk all machines share"
        )
