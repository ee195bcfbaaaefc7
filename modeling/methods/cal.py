"""CAL: features that do not tell the clothes (Gu et al., "Clothes-Changing Person Re-identification with RGB Modality
Only", CVPR 2022, arXiv 2204.06890).

    clothes head:  L = CE(s·cos(sg(f), V), c)
    all else:      L = CE_ls(W f + b, y) + L_adv(cos(f, V), c, S⁺(y)) + w_tri · T(f, y)

A head learns to tell from the feature f which outfit is worn. Against it f is to tell the person by any of the person's
outfits alike (`ClothesAdversarialLoss`), which begins when the network knows the people. Only f is kept for the test,
where a picture's feature is the sum over it and its mirror image.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from pydantic import Field, model_validator
from torch import Tensor

from common.contracts import UNKNOWN, Batch
from configs.schema import Config, Schedule, Section, Term
from modeling.layers.ghost import ghost_batch_norms, require_whole
from modeling.layers.heads import CosineClassifier, IdentityClassifier
from modeling.layers.neck import scaled_neck
from modeling.losses.clothes import ClothesAdversarialLoss, ClothesLoss
from modeling.losses.identity import IdentityLoss
from modeling.losses.triplet import TripletLoss
from modeling.methods.baseline import IdentityTerm
from modeling.methods.method import Facts, Method, ParameterGroup, Recipe, Stage, Update
from modeling.network import GlobalEmbedder


class ClothesTerm(Term):
    """The head that tells outfits apart. It teaches the network nothing, so it may begin before it is needed; as
    published it begins with the adversarial loss (from_epoch 26) and is a random adversary at first."""

    scale: float = Field(16.0, gt=0)
    steady: bool = True  # its rate never drops, as published; false: it follows the schedule of all


class AdversarialTerm(Term):
    """Against that head."""

    from_epoch: int = Field(26, ge=1)
    epsilon: float = Field(0.1, ge=0, le=1)  # the share that any outfit of the person has; the rest is the one worn


class TripletTerm(Term):
    """Batch-hard triplet on cosines; weight 1 for LaST."""

    weight: float = Field(0.0, ge=0)
    margin: float = Field(0.3, gt=0)


class CalOptions(Section):
    """Section `options:` of `method: cal`."""

    identity: IdentityTerm = IdentityTerm()
    clothes: ClothesTerm = ClothesTerm()
    adversarial: AdversarialTerm = AdversarialTerm()
    triplet: TripletTerm = TripletTerm()
    ghost: int | None = Field(None, ge=2)  # pictures per BatchNorm statistic; 32 on one GPU as on the authors' two

    @model_validator(mode="after")
    def _against_somebody(self) -> CalOptions:
        head, against = self.clothes, self.adversarial
        if against.weight and (not head.weight or head.from_epoch > against.from_epoch):
            raise ValueError(
                f"from epoch {against.from_epoch} on the feature is to learn against the clothes head, which learns"
                f" {f'from epoch {head.from_epoch} on' if head.weight else 'nothing'}; set clothes.weight above 0 and"
                " clothes.from_epoch no later than adversarial.from_epoch, or adversarial.weight=0"
            )
        return self


class ClothesFreeEmbedder(GlobalEmbedder):
    """Maximum and mean of the map, BN with a shift, and the mirror image added at test time."""

    flip = True

    def __init__(self, config: Config) -> None:
        super().__init__(config.model, scaled_neck)


class Cal(Method):
    """An identity classifier and a clothes head on one feature.

    Attributes:
        worn: `(C, K)` bool, which outfits each training identity has.
    """

    Options = CalOptions
    needs_clothes = True
    embedder: ClothesFreeEmbedder
    worn: Tensor

    def __init__(self, embedder: ClothesFreeEmbedder, options: CalOptions, facts: Facts) -> None:
        super().__init__(embedder)
        self.options = options
        channels = embedder.channels
        self.classifier = IdentityClassifier(channels, facts.num_classes, bias=True)
        self.clothes_head = CosineClassifier(channels, facts.num_clothes)
        self.register_buffer("worn", outfits_of(facts), persistent=False)
        self.identity_loss = IdentityLoss(options.identity.smoothing)
        self.clothes_loss = ClothesLoss(options.clothes.scale)
        self.adversarial_loss = ClothesAdversarialLoss(options.adversarial.epsilon, options.clothes.scale)
        self.triplet_loss = TripletLoss(options.triplet.margin, cosine=True)

    @classmethod
    def build_embedder(cls, config: Config) -> ClothesFreeEmbedder:
        return ClothesFreeEmbedder(config)

    @classmethod
    def build(cls, config: Config, facts: Facts) -> Cal:
        options = config.options
        assert isinstance(options, CalOptions)
        require_whole("options.ghost", options.ghost, config.batches.size)
        method = cls.assembled(config, options, facts)
        return method if options.ghost is None else ghost_batch_norms(method, options.ghost)

    @classmethod
    def assembled(cls, config: Config, options: CalOptions, facts: Facts) -> Cal:
        """Of its parts."""
        return cls(cls.build_embedder(config), options, facts)

    def terms(self) -> dict[str, Term]:
        options = self.options
        return {
            "identity": options.identity,
            "clothes": options.clothes,
            "adversarial": options.adversarial,
            "triplet": options.triplet,
        }

    def training_step(self, batch: Batch, stage: Stage) -> Iterator[Update]:
        feature = self.embedder.features(batch.images).neck
        yield from self._tell_clothes(feature, batch, stage)
        losses, metrics = self._tell_people(feature, self.classifier(feature), batch, stage)
        yield Update(losses, ("main",), metrics)

    def _tell_clothes(self, feature: Tensor, batch: Batch, stage: Stage) -> Iterator[Update]:
        """The head learns what the feature tells of the clothes, and the feature learns nothing of it."""
        if stage.weights["clothes"]:
            cosines = self.clothes_head(feature.detach())
            right = (cosines.argmax(1) == batch.clothes).float().mean()
            loss = stage.weights["clothes"] * self.clothes_loss(cosines, batch.clothes)
            yield Update({"clothes": loss}, ("clothes head",), {"clothes accuracy": right})

    def _tell_people(
        self, feature: Tensor, logits: Tensor, batch: Batch, stage: Stage
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The losses of the network, and what is told of them; the head that has just moved is a constant."""
        weights = stage.weights
        losses = {"identity": weights["identity"] * self.identity_loss(logits, batch.labels)}
        if weights["adversarial"]:
            cosines = self.clothes_head(feature)
            loss = self.adversarial_loss(cosines, batch.clothes, self.worn[batch.labels])
            losses["adversarial"] = weights["adversarial"] * loss
        if weights["triplet"]:
            losses["triplet"] = weights["triplet"] * self.triplet_loss(feature, batch.labels)
        return losses, {"accuracy": (logits.argmax(1) == batch.labels).float().mean()}

    def optimizers(self) -> dict[str, Recipe]:
        backbone = ParameterGroup(list(self.embedder.backbone.parameters()), pretrained=True)
        new = [*self.embedder.pooling.parameters(), *self.embedder.neck.parameters(), *self.classifier.parameters()]
        # The adversary must keep up with what it watches.
        steady = Schedule(kind="constant", warmup_epochs=0) if self.options.clothes.steady else None
        return {
            "main": Recipe([backbone, ParameterGroup(new)]),
            "clothes head": Recipe([ParameterGroup(list(self.clothes_head.parameters()))], schedule=steady),
        }


def outfits_of(facts: Facts) -> Tensor:
    """`(C, K)` bool, which outfits each identity has in the training set."""
    worn = torch.zeros(facts.num_classes, facts.num_clothes, dtype=torch.bool, device=facts.labels.device)
    if worn.is_meta:
        return worn
    known = (facts.labels != UNKNOWN) & (facts.clothes != UNKNOWN)
    worn[facts.labels[known], facts.clothes[known]] = True
    return worn
