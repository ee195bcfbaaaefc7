"""AIM: of what tells a person, take away what the clothes explain (Yang et al., "Good is Bad: Causality Inspired
Cloth-Debiasing for Cloth-Changing Person Re-Identification", CVPR 2023). CAL with a second network in training.

    f = E(x)      the feature that is kept;  o = W f + b
    f_c = E_c(x)  a network of its own that looks at clothes;  b_c = cos(f_c, V₂)
    g             where E_c looks, what E sees (`BilinearFusion`);  o' = W g + b

    clothes head:  as CAL
    clothes:       L = CE(s·b_c, c) + w_kl · L_kl(b_c, cos(sg(f), V))
    all else:      L = CE_ls(o, y) + w_te · CE_ls(o − o', y) + L_adv + w_tri · T(f, y)

o' is what the clothes alone make the classifier believe; the difference, total effect minus the part that went by way
of the clothes, must still tell the person. What the gates keep closed is not computed.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from pydantic import Field, model_validator

from common.contracts import Batch
from configs.schema import Config, Term
from modeling.backbones import build_backbone
from modeling.backbones.base import Backbone
from modeling.layers.bilinear_fusion import BilinearFusion
from modeling.layers.heads import CosineClassifier
from modeling.layers.pyramid import Pyramid
from modeling.losses.clothes import TransferLoss
from modeling.methods.cal import Cal, CalOptions, ClothesFreeEmbedder
from modeling.methods.method import Facts, ParameterGroup, Recipe, Stage, Update


class CausalTerm(Term):
    """Cross entropy of o − o'."""

    from_epoch: int = Field(26, ge=1)


class TransferTerm(Term):
    """What the clothes head says of f, brought near by the clothes network."""

    from_epoch: int = Field(26, ge=1)
    pictures: float = Field(32.0, gt=0)  # the sum over how many; published: those of one GPU
    scale: float = Field(1.0, gt=0)  # of the cosines in both distributions


class FusedTerm(Term):
    """Cross entropy of o' itself, which as published only learns to be subtracted; E learns nothing of it."""

    weight: float = Field(0.0, ge=0)
    from_epoch: int = Field(26, ge=1)


class AimOptions(CalOptions):
    """Section `options:` of `method: aim`."""

    clothes_network: Term = Term()  # cross entropy of E_c
    causal: CausalTerm = CausalTerm()
    transfer: TransferTerm = TransferTerm()
    fused: FusedTerm = FusedTerm()
    hold_fused: bool = False  # true: the causal loss takes o' as a constant; then `fused` must teach it
    shuffle_maps: bool = False  # a control: where E_c looks on another picture

    @model_validator(mode="after")
    def _all_learn(self) -> AimOptions:
        taught, causal, fused = self.clothes_network, self.causal, self.fused
        first = min((term.from_epoch for term in (causal, fused, self.transfer) if term.weight), default=None)
        if not taught.weight or (first is not None and taught.from_epoch > first):
            raise ValueError(
                "the other terms look where the clothes network looks, and it has not learned anything when they begin;"
                " set clothes_network.weight above 0 and clothes_network.from_epoch no later than theirs, or take"
                " method cal, which has no such network"
            )
        if self.hold_fused and causal.weight and (not fused.weight or fused.from_epoch > causal.from_epoch):
            raise ValueError(
                "with hold_fused the causal loss teaches o' nothing, and nothing else does when it begins; set"
                " fused.weight above 0 and fused.from_epoch no later than causal.from_epoch"
            )
        return self


class Aim(Cal):
    """CAL with a clothes network, and the fusion of both networks' maps."""

    Options = AimOptions
    options: AimOptions

    def __init__(
        self, embedder: ClothesFreeEmbedder, options: AimOptions, facts: Facts, clothes_backbone: Backbone
    ) -> None:
        super().__init__(embedder, options, facts)
        seen, out = embedder.backbone.channels, embedder.channels
        self.clothes_backbone = clothes_backbone
        self.pyramid = Pyramid(clothes_backbone.channels, out)
        self.clothes_network_head = CosineClassifier(out, facts.num_clothes)
        self.fusion = BilinearFusion(seen, clothes_backbone.channels, out)
        self.transfer_loss = TransferLoss(options.transfer.pictures, options.transfer.scale)

    @classmethod
    def assembled(cls, config: Config, options: CalOptions, facts: Facts) -> Aim:
        assert isinstance(options, AimOptions)
        model = config.model
        clothes = build_backbone(model.backbone, last_stride=model.last_stride, pretrained=model.pretrained)
        return cls(cls.build_embedder(config), options, facts, clothes)

    def terms(self) -> dict[str, Term]:
        options = self.options
        own = {"causal": options.causal, "transfer": options.transfer, "fused": options.fused}
        return {**super().terms(), "clothes network": options.clothes_network, **own}

    def training_step(self, batch: Batch, stage: Stage) -> Iterator[Update]:
        weights = stage.weights
        maps = self.embedder.backbone(batch.images)
        feature = self.embedder.neck(self.embedder.pooling(maps))
        looking = self.clothes_backbone(batch.images)
        yield from self._tell_clothes(feature, batch, stage)

        cosines = self.clothes_network_head(self.pyramid(looking))
        told = {"clothes network": weights["clothes network"] * self.clothes_loss(cosines, batch.clothes)}
        if weights["transfer"]:
            told["transfer"] = weights["transfer"] * self.transfer_loss(cosines, self.clothes_head(feature.detach()))
        yield Update(told, ("clothes network",))

        logits = self.classifier(feature)
        losses, metrics = self._tell_people(feature, logits, batch, stage)
        if self.options.shuffle_maps:
            order = torch.from_numpy(stage.random.permutation(len(batch))).to(looking.device)
            looking = looking[order]
        if weights["causal"]:
            fused = self.classifier(self.fusion(maps, looking))
            effect = logits - (fused.detach() if self.options.hold_fused else fused)
            losses["causal"] = weights["causal"] * self.identity_loss(effect, batch.labels)
            metrics["fused accuracy"] = (fused.argmax(1) == batch.labels).float().mean()
        if weights["fused"]:
            alone = self.classifier(self.fusion(maps.detach(), looking))
            losses["fused"] = weights["fused"] * self.identity_loss(alone, batch.labels)
        yield Update(losses, ("main",), metrics)

    def optimizers(self) -> dict[str, Recipe]:
        recipes = super().optimizers()
        main = recipes["main"]
        fusion = ParameterGroup(list(self.fusion.parameters()))
        looking = ParameterGroup(list(self.clothes_backbone.parameters()), pretrained=True)
        told = ParameterGroup([*self.pyramid.parameters(), *self.clothes_network_head.parameters()])
        return {**recipes, "main": Recipe([*main.groups, fusion]), "clothes network": Recipe([looking, told])}
