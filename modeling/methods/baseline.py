"""The strong baseline (Luo et al., "Bag of Tricks", CVPR Workshops 2019): identity loss, batch-hard triplet, BN-neck.

L = w_id · CE_ls(W·neck, y) + w_tri · T(pooled, y) + w_ctr · Ctr(pooled, y)

Of several sources pictures of one may be blended with pictures of another (`mix`), towards a network that also knows
people of a domain it has never seen; then CE_ls is λ CE_ls(W·neck, y) + (1 − λ) CE_ls(W·neck, y'), with the labels of
both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydantic import Field, model_validator
from torch import Tensor

from common.contracts import Batch
from common.errors import UserError
from common.events import Handler
from configs.schema import Config, Optimizer, Schedule, Section, Term
from modeling.handlers.cross_domain_mixup import SHARE
from modeling.handlers.source_mixup import PARTNER, SourceMixup
from modeling.layers.heads import IdentityClassifier
from modeling.losses.center import CenterLoss
from modeling.losses.identity import IdentityLoss
from modeling.losses.triplet import TripletLoss
from modeling.methods.method import Facts, Method, ParameterGroup, Recipe, Stage, TrainingView, Update
from modeling.network import GlobalEmbedder


class IdentityTerm(Term):
    """Label-smoothed cross entropy over the training identities."""

    smoothing: float = Field(0.1, ge=0, lt=1)


class TripletTerm(Term):
    """Batch-hard triplet; `margin: null` is the soft margin."""

    margin: float | None = Field(0.3, gt=0)
    normalize: bool = False  # compare unit vectors


class CenterTerm(Term):
    """Distance to a learned centre per identity, off unless given a weight (0.0005 as published)."""

    weight: float = Field(0.0, ge=0)
    lr: float = Field(0.5, gt=0)  # of the centres' own SGD


class BaselineOptions(Section):
    """Section `options:` of `method: baseline`."""

    identity: IdentityTerm = IdentityTerm()
    triplet: TripletTerm = TripletTerm()
    center: CenterTerm = CenterTerm()
    mix: bool = False  # mixup between sources
    mix_from: int = Field(1, ge=1)  # epoch
    alpha: float = Field(0.6, gt=0)  # λ ~ Beta(alpha, alpha)

    @model_validator(mode="after")
    def _blends(self) -> BaselineOptions:
        for name in ("triplet", "center"):
            if self.mix and getattr(self, name).weight:
                raise ValueError(f"mix makes pictures of two people, which {name} cannot compare; set {name}.weight=0")
        return self


class Baseline(Method):
    """Identity classification and metric learning on one global feature."""

    Options = BaselineOptions
    embedder: GlobalEmbedder

    def __init__(self, embedder: GlobalEmbedder, options: BaselineOptions, num_classes: int) -> None:
        super().__init__(embedder)
        self.options = options
        self.classifier = IdentityClassifier(embedder.channels, num_classes)
        self.identity_loss = IdentityLoss(options.identity.smoothing)
        self.triplet_loss = TripletLoss(options.triplet.margin, normalize=options.triplet.normalize)
        self.centers = CenterLoss(num_classes, embedder.channels) if options.center.weight else None

    @classmethod
    def build_embedder(cls, config: Config) -> GlobalEmbedder:
        return GlobalEmbedder(config.model)

    @classmethod
    def build(cls, config: Config, facts: Facts) -> Baseline:
        options = config.options
        assert isinstance(options, BaselineOptions)
        if options.mix and isinstance(config.data.source, str):
            raise UserError(
                "options.mix blends pictures of different sources, and there is one; list several, such as"
                " data.source=[market, msmt], or leave mix out"
            )
        return cls(cls.build_embedder(config), options, facts.num_classes)

    def terms(self) -> dict[str, Term]:
        options = self.options
        return {"identity": options.identity, "triplet": options.triplet, "center": options.center}

    def training_step(self, batch: Batch, stage: Stage) -> Iterator[Update]:
        pooled, neck = self.embedder.features(batch.images)
        weights = stage.weights
        losses: dict[str, Tensor] = {}
        metrics: dict[str, Tensor] = {}
        if weights["identity"]:
            logits: Tensor = self.classifier(neck)
            losses["identity"] = weights["identity"] * self._identity(logits, batch)
            metrics["accuracy"] = (logits.argmax(1) == batch.labels).float().mean()
        if weights["triplet"]:
            losses["triplet"] = weights["triplet"] * self.triplet_loss(pooled, batch.labels)
        if self.centers is not None and weights["center"]:
            losses["center"] = weights["center"] * self.centers(pooled, batch.labels)
        yield Update(losses, metrics=metrics)

        # The centres follow the features at a rate of their own, whatever the weight of the term above.
        if self.centers is not None and weights["center"]:
            yield Update({"centers": self.centers(pooled.detach(), batch.labels)}, optimizers=("centers",))

    def _identity(self, logits: Tensor, batch: Batch) -> Tensor:
        if PARTNER not in batch.extras:
            return self.identity_loss(logits, batch.labels)
        share, others = batch.extras[SHARE], batch.labels[batch.extras[PARTNER]]
        return self.identity_loss(logits, batch.labels, share) + self.identity_loss(logits, others, 1 - share)

    def handlers(self, view: TrainingView) -> Sequence[Handler]:
        options = self.options
        return [SourceMixup(view.facts.dataset, options.alpha, options.mix_from)] if options.mix else []

    def optimizers(self) -> dict[str, Recipe]:
        backbone = list(self.embedder.backbone.parameters())
        new = [*self.embedder.pooling.parameters(), *self.embedder.neck.parameters(), *self.classifier.parameters()]
        recipes = {"main": Recipe([ParameterGroup(backbone, pretrained=True), ParameterGroup(new)])}
        if self.centers is not None:
            plain = Optimizer(name="sgd", lr=self.options.center.lr, momentum=0.0, weight_decay=0.0)
            steady = Schedule(kind="constant", warmup_epochs=0)
            recipes["centers"] = Recipe([ParameterGroup(list(self.centers.parameters()))], plain, steady)
        return recipes
