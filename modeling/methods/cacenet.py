"""CACE-Net: features that learn pair by pair in what two pictures differ (Yu et al., "Devil's in the Details: Aligning
Visual Clues for Conditional Embedding in Person Re-Identification", arXiv 2009.05250).

    f_i = BN(W pool(x_i)),   e_i|j = BN(W pool(x_i|j)),   x_i|j: what `PairGraph` makes of map x_i beside x_j

    L = CE_ls(W_c drop(relu(f)), y) + w_mix · mean_{i≠j} [ α CE(z_i|j, y_i) + (1−α) CE(z_i|j, y_j) ]
        + w_tri · T(f, y) + w_ptri · T(D, y),   z_i|j = W_p drop(relu(e_i|j)),   D_ij = ‖ê_i|j − ê_j|i‖

T is the batch-hard triplet on unit vectors ê, and on the matrix D. As published L has two mix losses of weight 1, one
over e_i|j and one over e_j|i of all ordered pairs (i, j). These are the same features in another order, so here it is
one loss of weight 2. Only f is kept for the test; the graph's weights too, for whoever wants to score pairs.

Pairs are made, positives and negatives looked for and batch statistics taken within groups of `options.group` pictures:
published are 16, all that a process had.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from common.contracts import Batch
from common.errors import UserError
from configs.schema import Batches, Config, Term
from modeling.layers.ghost import ghost_batch_norms, require_whole
from modeling.layers.heads import IdentityClassifier
from modeling.layers.non_local import non_local_blocks
from modeling.layers.pair_graph import Pairs
from modeling.layers.precision import at_least_float32, without_autocast
from modeling.losses.identity import IdentityLoss
from modeling.losses.triplet import TripletLoss, hardest
from modeling.methods.baseline import IdentityTerm
from modeling.methods.cacenet_network import ConditionalEmbedder, NetworkOptions
from modeling.methods.method import Facts, Method, ParameterGroup, Recipe, Stage, Update


class MixTerm(Term):
    """Cross entropy of e_i|j against both people."""

    weight: float = Field(2.0, ge=0)
    alpha: float = Field(0.9, ge=0, le=1)  # the share of i; j has the rest


class TripletTerm(Term):
    """Batch-hard triplet on unit vectors; `margin: null` is the soft margin."""

    margin: float | None = Field(0.5, gt=0)


class CaceNetOptions(NetworkOptions):
    """Section `options:` of `method: cacenet`."""

    identity: IdentityTerm = IdentityTerm()  # smoothing 0 in the TensorFlow release
    mix: MixTerm = MixTerm()
    triplet: TripletTerm = TripletTerm()
    pair_triplet: TripletTerm = TripletTerm()
    dropout: float = Field(0.5, ge=0, lt=1)  # before both classifiers
    group: int | None = Field(None, ge=2)  # pictures that are paired, mined and normalised together; all when not given
    self_pairs: bool = False  # true: also pairs of a picture with itself, as published
    rectified_triplet: bool = False  # true: triplets see relu(f), as an oversight in the PyTorch release makes them
    pair_chunk: int = Field(32, ge=1)  # pairs whose maps are in memory at once
    recompute: bool = True  # compute these maps again for the gradient rather than keep them


class CaceNet(Method):
    """A classifier of pictures and one of pairs, on one network."""

    Options = CaceNetOptions
    free_options = frozenset({"pair_chunk", "recompute"})
    embedder: ConditionalEmbedder

    def __init__(self, embedder: ConditionalEmbedder, options: CaceNetOptions, facts: Facts) -> None:
        super().__init__(embedder)
        self.options = options
        self.classifier = IdentityClassifier(embedder.channels, facts.num_classes)
        self.pair_classifier = IdentityClassifier(embedder.channels, facts.num_classes)
        self.dropout = nn.Dropout(options.dropout)
        self.identity_loss = IdentityLoss(options.identity.smoothing)
        self.mix_loss = IdentityLoss(smoothing=0.0)
        self.triplet_loss = TripletLoss(options.triplet.margin, normalize=True)

    @classmethod
    def build_embedder(cls, config: Config) -> ConditionalEmbedder:
        options = config.options
        assert isinstance(options, CaceNetOptions)
        return ConditionalEmbedder(config, options)

    @classmethod
    def build(cls, config: Config, facts: Facts) -> CaceNet:
        options = config.options
        assert isinstance(options, CaceNetOptions)
        require_whole("options.group", options.group, config.batches.size)
        _require_two_people(options, config.batches)
        method = cls(cls.build_embedder(config), options, facts)
        return method if options.group is None else ghost_batch_norms(method, options.group)

    def terms(self) -> dict[str, Term]:
        options = self.options
        return {
            "identity": options.identity,
            "mix": options.mix,
            "triplet": options.triplet,
            "pair triplet": options.pair_triplet,
        }

    def training_step(self, batch: Batch, stage: Stage) -> Iterator[Update]:
        weights = stage.weights
        maps, feature = self.embedder.features(batch.images)
        group = self.options.group or len(batch)
        labels = batch.labels.unflatten(0, (-1, group))
        losses: dict[str, Tensor] = {}
        metrics: dict[str, Tensor] = {}
        if weights["identity"]:
            logits = self._logits(self.classifier, feature)
            losses["identity"] = weights["identity"] * self.identity_loss(logits, batch.labels)
            metrics["accuracy"] = (logits.argmax(1) == batch.labels).float().mean()
        if weights["triplet"]:
            groups = self._compared(feature).split(group)
            each = [self.triplet_loss(rows, people) for rows, people in zip(groups, labels, strict=True)]
            losses["triplet"] = weights["triplet"] * torch.stack(each).mean()
        if weights["mix"] or weights["pair triplet"]:
            told, seen = self._tell_pairs(maps, feature.detach(), labels, stage)
            losses |= told
            metrics |= seen
        yield Update(losses, metrics=metrics)

    def _tell_pairs(
        self, maps: Tensor, alone: Tensor, labels: Tensor, stage: Stage
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The losses of the pairs and what is told of them; labels are `(G, n)`, group by group.

        `pair cosine`, the mean of cos(e_i|j, f_i), tells how little looking at the other picture changes.
        """
        weights, options = stage.weights, self.options
        pairs = Pairs.of(labels.shape[1], with_itself=options.self_pairs, device=maps.device)
        features = self.embedder.all_conditional(maps, pairs, options.pair_chunk, options.recompute)
        losses: dict[str, Tensor] = {}
        single = alone.unflatten(0, labels.shape)[:, pairs.own]
        metrics = {"pair cosine": F.cosine_similarity(features.detach().float(), single.float(), dim=2).mean()}
        if weights["mix"]:
            logits = self._logits(self.pair_classifier, features.flatten(0, 1))
            own, partner = labels[:, pairs.own].flatten(), labels[:, pairs.partner].flatten()
            share = at_least_float32(logits).new_full((len(logits),), options.mix.alpha)
            loss = self.mix_loss(logits, own, share) + self.mix_loss(logits, partner, 1 - share)
            losses["mix"] = weights["mix"] * loss
            metrics["pair accuracy"] = (logits.argmax(1) == own).float().mean()
        if weights["pair triplet"]:
            loss = pair_triplet(self._compared(features), pairs, labels, options.pair_triplet.margin)
            losses["pair triplet"] = weights["pair triplet"] * loss
        return losses, metrics

    def _logits(self, classifier: IdentityClassifier, features: Tensor) -> Tensor:
        return classifier(self.dropout(F.relu(features)))

    def _compared(self, features: Tensor) -> Tensor:
        """What triplets see of features."""
        return F.relu(features) if self.options.rectified_triplet else features

    def optimizers(self) -> dict[str, Recipe]:
        backbone = self.embedder.backbone
        new = {id(one) for block in non_local_blocks(backbone) for one in block.parameters()}
        pretrained = [one for one in backbone.parameters() if id(one) not in new]
        known = {id(one) for one in pretrained}
        others = [one for one in self.parameters() if id(one) not in known]
        return {"main": Recipe([ParameterGroup(pretrained, pretrained=True), ParameterGroup(others)])}


def _require_two_people(options: CaceNetOptions, batches: Batches) -> None:
    """Raise `UserError` for groups in which triplets would find nobody else, or some pictures nobody of their own."""
    mined = options.triplet.weight or options.pair_triplet.weight
    if options.group is None or not mined or batches.kind != "identity":
        return
    if options.group % batches.instances or options.group < 2 * batches.instances:
        raise UserError(
            f"options.group={options.group} does not hold two or more whole people of batches.instances="
            f"{batches.instances} pictures, and triplets compare people within a group; give a multiple of"
            f" {batches.instances} from {2 * batches.instances} on, or set the weights of triplet and pair_triplet to 0"
        )


def pair_triplet(features: Tensor, pairs: Pairs, labels: Tensor, margin: float | None) -> Tensor:
    """The batch-hard triplet loss on D_ij = √(‖ê_i|j − ê_j|i‖² + 10⁻¹²), the mean over groups; a float32 scalar.

    Args:
        features: `(G, R, D)`, e of the ordered pairs in each group.
        labels: `(G, n)`; −1 takes no part.
        margin: None takes the soft margin.
    """
    with without_autocast(features):
        units = F.normalize(at_least_float32(features), dim=2)
        table = units.new_zeros(len(units), pairs.size, pairs.size, units.shape[2])
        table[:, pairs.own, pairs.partner] = units
        distances = ((table - table.transpose(1, 2)).square().sum(dim=3) + 1e-12).sqrt()
        losses = []
        for matrix, people in zip(distances, labels, strict=True):
            rows = hardest(matrix.detach(), people)
            gap = (matrix.gather(1, rows.positive[:, None]) - matrix.gather(1, rows.negative[:, None])).squeeze(1)
            each = F.softplus(gap) if margin is None else F.relu(margin + gap)
            losses.append(each.where(rows.valid, 0).sum() / rows.valid.sum().clamp(min=1))
        return torch.stack(losses).mean()
