"""CAMC: what is seen and where the joints are, aligned and made to ask each other (Wang et al., "Co-Attention Aligned
Mutual Cross-Attention for Cloth-Changing Person Re-Identification", ACCV 2022).

    f_a = the backbone's map as tokens, one per cell
    f_s = SSE(heatmaps of joints)                a token for the same cell (`ShapeSemantics`)
    [g_a ; g_s] = σ(W_b relu(W_a [f_a ; f_s]))   alignment (`CoAttentionGate`)
    f̂_a = f_a (1 + g_a),   f̂_s = f_s (1 + g_s)
    p_s = LN(softmax(S) f̂_s + f̂_a),   s_p = LN(softmax(Sᵀ) f̂_a + f̂_s),   S = f̂_a f̂_sᵀ / 8    (`MutualCrossAttention`)
    v = mean over tokens of [p_s ; s_p],   z = BN(v)

    L = CE_ls(W z, y) + w_shape · CE_ls(W' z_s, y) + w_tri · T(v, y)

Clothes change and the body does not, so the shape of the body is to tell where the appearance can be trusted. Only
identities are learned from; as published w_shape = w_tri = 0. z is compared, both halves of it, and the joints are
needed at test time too. They come from a network that is not trained here (`data.poses`).
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from common.contracts import Batch
from configs.schema import Config, Term
from modeling.layers.heads import IdentityClassifier
from modeling.losses.identity import IdentityLoss
from modeling.losses.triplet import TripletLoss
from modeling.methods.camc_network import CamcEmbedder, CamcOptions
from modeling.methods.method import Facts, Method, ParameterGroup, Recipe, Stage, Update


class Camc(Method):
    """An identity classifier on both streams at once."""

    Options = CamcOptions
    free_options = frozenset({"test_streams"})
    embedder: CamcEmbedder

    def __init__(self, embedder: CamcEmbedder, options: CamcOptions, num_classes: int) -> None:
        super().__init__(embedder)
        self.options = options
        self.classifier = IdentityClassifier(embedder.channels, num_classes)
        self.shape_classifier: IdentityClassifier | None = None
        if options.shape.weight:
            self.shape_classifier = IdentityClassifier(embedder.backbone.channels, num_classes)
        self.identity_loss = IdentityLoss(options.identity.smoothing)
        self.triplet_loss = TripletLoss(options.triplet.margin, normalize=options.triplet.normalize)

    @classmethod
    def build_embedder(cls, config: Config) -> CamcEmbedder:
        return CamcEmbedder(config)

    @classmethod
    def build(cls, config: Config, facts: Facts) -> Camc:
        options = config.options
        assert isinstance(options, CamcOptions)
        return cls(cls.build_embedder(config), options, facts.num_classes)

    def terms(self) -> dict[str, Term]:
        options = self.options
        return {"identity": options.identity, "shape": options.shape, "triplet": options.triplet}

    def training_step(self, batch: Batch, stage: Stage) -> Iterator[Update]:
        vector, neck = self.embedder.features(batch.images, batch.extras.get("poses"))
        weights, logits = stage.weights, self.classifier(neck)
        losses: dict[str, Tensor] = {"identity": weights["identity"] * self.identity_loss(logits, batch.labels)}
        metrics = {"accuracy": (logits.argmax(1) == batch.labels).float().mean()}
        if self.shape_classifier is not None and weights["shape"]:
            alone = self.shape_classifier(self.embedder.stream(neck, "shape"))
            losses["shape"] = weights["shape"] * self.identity_loss(alone, batch.labels)
            metrics["shape accuracy"] = (alone.argmax(1) == batch.labels).float().mean()
        if weights["triplet"]:
            losses["triplet"] = weights["triplet"] * self.triplet_loss(vector, batch.labels)
        yield Update(losses, metrics=metrics)

    def optimizers(self) -> dict[str, Recipe]:
        backbone = {id(parameter) for parameter in self.embedder.backbone.parameters()}
        new = [parameter for parameter in self.parameters() if id(parameter) not in backbone]
        pretrained = ParameterGroup(list(self.embedder.backbone.parameters()), pretrained=True)
        return {"main": Recipe([pretrained, ParameterGroup(new)])}
