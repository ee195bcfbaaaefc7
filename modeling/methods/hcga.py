"""HCGA: find the parts of the body without being told of them, and compare the parts that both pictures show (Dou et
al., "Human Co-Parsing Guided Alignment for Occluded Person Re-Identification", TIP 2023).

    y_g, y_f, y_part = mean of the map, of its foreground, of its P parts in a row;   z = BN(y)    (`HcgaEmbedder`)
    S = logits of background and parts in every cell,   m = the part there, as co-parsing has it (`modeling/parsing`)

    L = Σ_{b ∈ g, f, part} [ w_b CE_ls(W_b z_b, y) + w'_b T(y_b, y) ] + λ CE(S, m) + w_ctr Σ_b Ctr(y_b, y)

No one labels m: at the start of an epoch all pictures of a person are segmented together, by a small network that is
thrown away (`modeling/parsing/co_parsing.py`), and the parts found are the labels until the next time (`PartMasks`).

Published are two sums. With centres (w_ctr = 5·10⁻⁴: Market, Duke) all other weights are 1, but λ. Without (the
occluded sets) w'_f = 0 and there is no T(y_part), which leaves a triplet only on y_g, and y_g is not compared at the
test. So here w'_f = w'_part = 1 in both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from pydantic import Field
from torch import Tensor, nn

from common.contracts import UNKNOWN, Batch
from common.errors import UserError
from common.events import Handler
from configs.schema import Config, Optimizer, Schedule, Term
from modeling.handlers.part_masks import MASKS, PartMasks
from modeling.layers.heads import IdentityClassifier
from modeling.losses.center import CenterLoss
from modeling.losses.identity import IdentityLoss
from modeling.losses.parsing import ParsingLoss
from modeling.losses.triplet import TripletLoss
from modeling.methods.baseline import CenterTerm, IdentityTerm, TripletTerm
from modeling.methods.hcga_network import HcgaEmbedder, NetworkOptions, Seen, grid
from modeling.methods.method import Facts, Method, ParameterGroup, Recipe, Stage, TrainingView, Update
from modeling.network import Features
from modeling.parsing.stripes import stripes

BRANCHES = ("whole", "foreground", "parts")


class ParsingTerm(Term):
    """λ, of the cross entropy of cells."""

    weight: float = Field(0.1, ge=0)


class HcgaOptions(NetworkOptions):
    """Section `options:` of `method: hcga`; a classifier or centres whose weight is 0 are not built."""

    identity: IdentityTerm = IdentityTerm()
    foreground_identity: IdentityTerm = IdentityTerm()
    part_identity: IdentityTerm = IdentityTerm()
    triplet: TripletTerm = TripletTerm()
    foreground_triplet: TripletTerm = TripletTerm()  # weight 0 as published without centres
    part_triplet: TripletTerm = TripletTerm()  # weight 0 as published without centres
    parsing_loss: ParsingTerm = ParsingTerm()
    center: CenterTerm = CenterTerm()  # of all three

    @property
    def identities(self) -> dict[str, IdentityTerm]:
        """By branch."""
        terms = (self.identity, self.foreground_identity, self.part_identity)
        return dict(zip(BRANCHES, terms, strict=True))

    @property
    def triplets(self) -> dict[str, TripletTerm]:
        """By branch."""
        return dict(zip(BRANCHES, (self.triplet, self.foreground_triplet, self.part_triplet), strict=True))


class Hcga(Method):
    """Three classifiers and three triplets on a network that also learns to see the parts.

    Attributes:
        masks: `(N, h, w)` uint8, the parts of every training picture without augmentation, by its row; stripes until
            some are found.
        masks_epoch: the epoch at whose start they were found; 0 for stripes.
    """

    Options = HcgaOptions
    free_options = frozenset({"matching", "visible_from"})
    embedder: HcgaEmbedder
    masks: Tensor
    masks_epoch: Tensor

    def __init__(
        self, embedder: HcgaEmbedder, options: HcgaOptions, num_classes: int, masks: Tensor, seed: int
    ) -> None:
        super().__init__(embedder)
        self.options, self.seed = options, seed
        widths = dict(zip(BRANCHES, embedder.channels, strict=True))
        self.classifiers = nn.ModuleDict(
            {
                branch: IdentityClassifier(widths[branch], num_classes)
                for branch, term in options.identities.items()
                if term.weight
            }
        )
        self.centers = nn.ModuleDict(
            {branch: CenterLoss(num_classes, width) for branch, width in widths.items() if options.center.weight}
        )
        self.identity_losses = {branch: IdentityLoss(term.smoothing) for branch, term in options.identities.items()}
        self.triplet_losses = {
            branch: TripletLoss(term.margin, normalize=term.normalize) for branch, term in options.triplets.items()
        }
        self.parsing_loss = ParsingLoss()
        self.register_buffer("masks", masks)
        self.register_buffer("masks_epoch", torch.tensor(0))

    @classmethod
    def build_embedder(cls, config: Config) -> HcgaEmbedder:
        options = config.options
        assert isinstance(options, HcgaOptions)
        return HcgaEmbedder(config, options)

    @classmethod
    def build(cls, config: Config, facts: Facts) -> Hcga:
        options = config.options
        assert isinstance(options, HcgaOptions)
        parsing = options.parsing
        band = stripes(parsing.parts, *grid(config.data.height, config.data.width), parsing.rule)
        masks = band.to(facts.labels.device).repeat(len(facts.labels), 1, 1)
        return cls(cls.build_embedder(config), options, facts.num_classes, masks, config.seed)

    def terms(self) -> dict[str, Term]:
        options = self.options
        return {
            **{_named(branch, "identity"): term for branch, term in options.identities.items()},
            **{_named(branch, "triplet"): term for branch, term in options.triplets.items()},
            "parsing": options.parsing_loss,
            "center": options.center,
        }

    def training_step(self, batch: Batch, stage: Stage) -> Iterator[Update]:
        weights, labels = stage.weights, batch.labels
        seen = self.embedder.features(batch.images)
        losses: dict[str, Tensor] = {}
        metrics: dict[str, Tensor] = {}
        for branch, (pooled, neck) in _branches(seen).items():
            told, apart = _named(branch, "identity"), _named(branch, "triplet")
            if weights[told]:
                logits: Tensor = self.classifiers[branch](neck)
                losses[told] = weights[told] * self.identity_losses[branch](logits, labels)
                metrics[_named(branch, "accuracy")] = (logits.argmax(1) == labels).float().mean()
            if weights[apart]:
                losses[apart] = weights[apart] * self.triplet_losses[branch](pooled, labels)
        if weights["parsing"]:
            masks = _masks_of(batch, seen.logits)
            losses["parsing"] = weights["parsing"] * self.parsing_loss(seen.logits, masks)
            right = (seen.logits.argmax(1) == masks).sum() / (masks != UNKNOWN).sum().clamp(min=1)
            metrics["parsing accuracy"] = right
        if weights["center"]:
            losses["center"] = weights["center"] * self._center(seen, labels)
        yield Update(losses, metrics=metrics)

        # The centres follow the features at a rate of their own, whatever the weight of the term above.
        if weights["center"]:
            yield Update({"centers": self._center(seen, labels, constant=True)}, optimizers=("centers",))

    def _center(self, seen: Seen, labels: Tensor, *, constant: bool = False) -> Tensor:
        """The sum over the three; `constant` features receive no gradient."""
        pooled = {branch: one.pooled.detach() if constant else one.pooled for branch, one in _branches(seen).items()}
        return torch.stack([self.centers[branch](one, labels) for branch, one in pooled.items()]).sum()

    def handlers(self, view: TrainingView) -> Sequence[Handler]:
        return [PartMasks(self.masks, self.masks_epoch, self.options.parsing, self.seed, view)]

    def optimizers(self) -> dict[str, Recipe]:
        apart = {id(one) for module in (self.embedder.backbone, self.centers) for one in module.parameters()}
        backbone = list(self.embedder.backbone.parameters())
        new = [one for one in self.parameters() if id(one) not in apart]
        recipes = {"main": Recipe([ParameterGroup(backbone, pretrained=True), ParameterGroup(new)])}
        if self.options.center.weight:
            plain = Optimizer(name="sgd", lr=self.options.center.lr, momentum=0.0, weight_decay=0.0)
            steady = Schedule(kind="constant", warmup_epochs=0)
            recipes["centers"] = Recipe([ParameterGroup(list(self.centers.parameters()))], plain, steady)
        return recipes


def _named(branch: str, what: str) -> str:
    """As losses and metrics are logged: "identity", "foreground identity", "part identity"."""
    return {"whole": what, "foreground": f"foreground {what}", "parts": f"part {what}"}[branch]


def _branches(seen: Seen) -> dict[str, Features]:
    return {branch: getattr(seen, branch) for branch in BRANCHES}


def _masks_of(batch: Batch, logits: Tensor) -> Tensor:
    """The masks beside a batch; raises `UserError` where there are none, or of another size than the map."""
    if MASKS not in batch.extras:
        raise UserError(
            f"method hcga learns where body parts are from masks, and there are none beside the pictures; give"
            f" Batch.extras['{MASKS}'], or set options.parsing_loss.weight=0"
        )
    masks, expected = batch.extras[MASKS], (len(logits), *logits.shape[2:])
    if masks.shape != expected:
        raise UserError(f"Batch.extras['{MASKS}'] is {tuple(masks.shape)}, and the network's map asks for {expected}")
    return masks
