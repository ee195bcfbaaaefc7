"""CAIL: adapt to a city without labels (Luo, Song and Zhang, "Generalizing Person Re-Identification by Camera-Aware
Invariance Learning and Cross-Domain Mixup", ECCV 2020).

L = L_source + w_intra · L_intra + w_inter · L_inter

Half of a batch are labelled pictures of one city, half unlabelled ones of another, whose cameras are known. A memory
holds one exemplar per target picture. Each target picture is drawn towards its neighbours in the memory, first those of
its own camera, later those of all others. Source pictures are blended with target pictures, whose exemplars stand in as
classes of their own; before there are exemplars, L_source is plain cross entropy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Literal

import ignite.distributed as idist
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from common.contracts import Batch
from common.errors import UserError
from common.events import Handler
from configs.schema import Config, Section, Term
from modeling.handlers.cross_domain_mixup import SHARE, CrossDomainMixup
from modeling.handlers.memory_write import FEATURES, ROWS, MemoryWrite
from modeling.handlers.neighbour_precision import NeighbourPrecision
from modeling.layers.ghost import balanced_order, ghost_batch_norms
from modeling.layers.split_neck import SplitNeck
from modeling.losses.identity import IdentityLoss
from modeling.losses.neighbourhood import NeighbourhoodLoss
from modeling.losses.virtual_class import Moments, VirtualClassLoss, align_agents, choose_negatives
from modeling.memory import ExemplarMemory
from modeling.methods.method import Facts, Method, ParameterGroup, Recipe, Stage, TrainingView, Update
from modeling.network import GlobalEmbedder
from modeling.sharded_memory import ShardedMemory


class Intra(Term):
    """Neighbours of the same camera."""

    from_epoch: int = Field(11, ge=1)


class Inter(Term):
    """Neighbours of other cameras."""

    weight: float = Field(0.5, ge=0)
    from_epoch: int = Field(31, ge=1)


class Agnostic(Term):
    """Neighbours whatever the camera, in place of the two for neighbor_mode 0."""

    weight: float = Field(0.1, ge=0)
    from_epoch: int = Field(11, ge=1)


class Instance(Term):
    """The exemplar of the picture itself, apart from its neighbours."""

    from_epoch: int = Field(6, ge=1)


class CailOptions(Section):
    """Section `options:` of `method: cail`; keys that the authors have mean what they mean there."""

    mix: bool = True  # cross-domain mixup
    mix_from: int = Field(2, ge=2)  # epoch; in the first one the memory is filled
    alpha: float = Field(0.6, gt=0)  # λ ~ Beta(alpha, alpha)
    neighbor_mode: Literal[0, 1] = 1  # 1: neighbours camera by camera; 0: whatever the camera
    neighbor_eps: float = Field(0.8, gt=0, lt=1)  # neighbours are above this part of the greatest similarity
    scale: float = Field(10.0, gt=0)  # inverse temperature of similarities
    momentum: float = Field(0.6, ge=0, lt=1)  # of the memory's rows
    overwrite_until: int = Field(1, ge=0)  # up to this epoch a row is replaced, not averaged
    intra: Intra = Intra()
    inter: Inter = Inter()
    agnostic: Agnostic = Agnostic()
    clamp: float | None = Field(None, gt=0, lt=1)  # least probability that counts; 1.0e-5 as published
    ghost: int | None = Field(None, ge=4)  # pictures per BatchNorm statistic; 128 on one GPU as on the paper's two
    diagnose_every: int = Field(50, ge=0)  # iterations between looks at how many neighbours are right; 0: never
    sync: bool = True  # false: each process writes only what it has seen itself, as published
    sharded: bool = False  # each process holds a part of the memory, for targets too large to be held by each
    # The successor's ("Learning to Adapt Across Dual Discrepancy"), off unless set; all of it: configs/cail_dual.yml
    gate: float | None = Field(None, ge=-1, lt=1)  # neighbours count when their mean similarity is above it; theirs 0.6
    negatives: int = Field(0, ge=0)  # further target rows that a mixed picture is told apart from
    instance: Instance | None = None  # the picture's own exemplar as a term of its own, no longer a part of intra
    statistics: Literal["target", "both"] = "target"  # domains whose running statistics the neck keeps
    align: bool = False  # exemplars stand in as classes as the neck would have them were they of the source; each
    # process goes by its own running statistics, which are averaged at the end of an epoch

    @model_validator(mode="after")
    def _together(self) -> CailOptions:
        if self.align and self.statistics != "both":
            raise ValueError("align moves exemplars by the statistics of both domains; set statistics to both")
        if not self.mix and (self.negatives or self.align):
            raise ValueError("negatives and align are of mixup; set mix, or leave them out")
        if self.sharded and not self.sync:
            raise ValueError("sharded spreads one memory over all processes; sync=false gives each a memory of its own")
        if self.sharded and self.negatives:
            raise ValueError("negatives are drawn from the whole memory, and sharded leaves each process a part of it")
        return self


class Cail(Method):
    """A classifier for the source, a memory for the target, one network for both.

    Attributes:
        first: the row of the training set with which the target begins, and the memory's rows.
    """

    Options = CailOptions
    free_options = frozenset({"sharded", "diagnose_every"})
    adapts = True
    embedder: GlobalEmbedder

    def __init__(self, embedder: GlobalEmbedder, options: CailOptions, facts: Facts) -> None:
        super().__init__(embedder)
        self.options, self.first = options, facts.first_target
        self.classifier = nn.Linear(embedder.channels, facts.num_classes, bias=False)
        kind = ShardedMemory if options.sharded else ExemplarMemory
        self.memory = kind(facts.camids[self.first :], embedder.channels)
        self.identity_loss = IdentityLoss(smoothing=0.0)
        self.mixup_loss = VirtualClassLoss()
        self.neighbourhood = NeighbourhoodLoss(
            "camera" if options.neighbor_mode else "agnostic",
            eps=options.neighbor_eps,
            scale=options.scale,
            clamp=options.clamp,
            gate=options.gate,
            instance_apart=options.instance is not None,
        )
        if options.ghost is not None:
            embedder.backbone = ghost_batch_norms(embedder.backbone, options.ghost)

    @classmethod
    def build_embedder(cls, config: Config) -> GlobalEmbedder:
        options = config.options
        assert isinstance(options, CailOptions)
        chunk = None if options.ghost is None else options.ghost // 2
        return GlobalEmbedder(config.model, partial(SplitNeck, statistics=options.statistics, chunk=chunk))

    @classmethod
    def build(cls, config: Config, facts: Facts) -> Cail:
        options = config.options
        assert isinstance(options, CailOptions)
        here = config.batches.size // idist.get_world_size()
        if options.ghost is not None and (options.ghost % 2 or here % options.ghost):
            raise UserError(
                f"options.ghost={options.ghost} does not divide the {here} pictures of a batch on each process into"
                " chunks that are half source and half target; give an even number that does, or another batches.size"
            )
        return cls(cls.build_embedder(config), options, facts)

    def terms(self) -> dict[str, Term]:
        options = self.options
        own = {} if options.instance is None else {"instance": options.instance}
        if options.neighbor_mode:
            return {"intra": options.intra, "inter": options.inter, **own}
        return {"agnostic": options.agnostic, **own}

    def training_step(self, batch: Batch, stage: Stage) -> Iterator[Update]:
        half = len(batch) // 2
        neck = self.embedder.neck(self._pooled(batch.images), half)
        source, target = neck[:half], neck[half:]
        rows = batch.index[half:] - self.first
        losses: dict[str, Tensor] = {}
        metrics: dict[str, Tensor] = {}

        if SHARE in batch.extras:
            losses["mixup"] = self._mixup(source, batch, rows, stage)
        else:
            logits: Tensor = self.classifier(source)
            losses["identity"] = self.identity_loss(logits, batch.labels[:half])
            metrics["accuracy"] = (logits.argmax(1) == batch.labels[:half]).float().mean()
        weights = {name: weight for name, weight in stage.weights.items() if weight}
        if weights:
            near = self.neighbourhood(self.memory.compare(target, rows, batch.camids[half:]), weights.keys())
            losses |= {name: weight * getattr(near, name) for name, weight in weights.items()}
            for name, found in near.found.items():
                metrics |= {f"{name} neighbours": found.neighbours, f"{name} top": found.top}
                if self.options.gate is not None:
                    metrics[f"{name} passed"] = found.passed
        metrics["memory filled"] = self.memory.share_filled
        yield Update(losses, metrics=metrics, kept={FEATURES: target.detach(), ROWS: rows})

    def _pooled(self, images: Tensor) -> Tensor:
        """Both halves in one pass, whose batch statistics they share; with ghost batches, half and half in each."""
        if self.options.ghost is None:
            return self.embedder.pooled(images)
        order, inverse = balanced_order(len(images), self.options.ghost, images.device)
        return self.embedder.pooled(images[order])[inverse]

    def _mixup(self, source: Tensor, batch: Batch, rows: Tensor, stage: Stage) -> Tensor:
        """The loss of blended pictures, whose partners' exemplars are classes of their own."""
        half, options = len(batch) // 2, self.options
        memory, negatives = None, None
        if options.negatives:
            memory = self._as_source(self.memory.rows, self.memory.lengths)
            related = self._related(rows, batch.camids[half:])
            negatives = choose_negatives(related, self.memory.filled, options.negatives, stage.random)
        agents, filled = self.memory.exemplars(rows), self.memory.written(rows)
        agents = self._as_source(agents, self.memory.latest_lengths(rows))
        share, weight = batch.extras[SHARE][:half], self.classifier.weight
        return self.mixup_loss(source, batch.labels[:half], weight, share, agents, filled, memory, negatives)

    def _as_source(self, exemplars: Tensor, lengths: Tensor) -> Tensor:
        """Exemplars as the source's side of the neck would have them; without `align` as they are."""
        if not self.options.align:
            return exemplars
        neck = self.embedder.neck
        assert isinstance(neck, SplitNeck)
        target, source = Moments.of(neck), Moments.of(neck.source_statistics)
        return align_agents(exemplars, lengths, neck.weight, target, source, neck.eps)

    def _related(self, rows: Tensor, camids: Tensor) -> Tensor:
        """`(b, N)`: the exemplars of each target picture and of its neighbours, who may be the same person."""
        comparison = self.memory.compare(self.memory.exemplars(rows), rows, camids)
        related = torch.zeros(len(rows), len(self.memory.filled), dtype=torch.bool, device=rows.device)
        for term in self.neighbourhood.kinds:
            related |= self.neighbourhood.neighbours(comparison, term)
        return related.scatter_(1, rows[:, None], True)

    def optimizers(self) -> dict[str, Recipe]:
        backbone = list(self.embedder.backbone.parameters())
        new = [*self.embedder.pooling.parameters(), *self.embedder.neck.parameters(), *self.classifier.parameters()]
        return {"main": Recipe([ParameterGroup(backbone, pretrained=True), ParameterGroup(new)])}

    def handlers(self, view: TrainingView) -> Sequence[Handler]:
        options = self.options
        handlers: list[Handler] = [MemoryWrite(self.memory, self.momentum, options.sync)]
        if options.mix:
            handlers.insert(0, CrossDomainMixup(options.alpha, options.mix_from))
        if options.diagnose_every:
            target = view.hidden_labels[self.first :], view.facts.camids[self.first :]
            handlers.append(NeighbourPrecision(self.memory, self.neighbourhood, *target, options.diagnose_every))
        return handlers

    def left_alone(self) -> str:
        return self.memory.left_alone()

    def momentum(self, epoch: int) -> float:
        """Of the memory: rows are replaced at first, later averaged."""
        return 0.0 if epoch <= self.options.overwrite_until else self.options.momentum

    @classmethod
    def needs_cameras(cls, options: Section) -> bool:
        assert isinstance(options, CailOptions)
        return bool(options.neighbor_mode)
