"""Features are those of a loop over single pictures, whatever the batches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from common.contracts import Embedding
from common.errors import UserError
from configs.schema import Config
from data.samples import Dataset, Split
from data.transforms import Preprocessing
from engine.evaluation import evaluate_network
from engine.extraction import Extraction, InMemory, Stopped, columns_of, extract
from modeling.methods.method import Embedder
from retrieval.columns import Features
from tests.engine.toys import CPU, PictureEmbedder, dataset_of

MEAN, STD = (0.5, 0.4, 0.3), (0.5, 0.25, 0.2)


class PartsEmbedder(PictureEmbedder):
    """With parts, their visibility, and maps that nobody asked for."""

    def forward(self, images: Tensor, **extras: Tensor) -> Embedding:
        vector = super().forward(images).vector
        parts = torch.stack((vector[:, :2], vector[:, 2:]), dim=1)
        visible = (images[:, 0, :2, 0] > 0).float()
        return Embedding(vector, parts, visible, images)


def how(batch_size: int = 4, flip: bool = False) -> Extraction:
    return Extraction(Preprocessing(32, 16, MEAN, STD), CPU, batch_size, workers=0, flip=flip)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return dataset_of(tmp_path_factory.mktemp("pictures"))


@pytest.fixture
def embedder() -> PictureEmbedder:
    torch.manual_seed(0)
    return PictureEmbedder()


def features_of(embedder: Embedder, split: Split, extraction: Extraction, **more: Any) -> Features:
    sink = InMemory(columns_of(split))
    extract(embedder, split, sink, extraction, **more)
    return sink.features()


def naive(embedder: PictureEmbedder, split: Split, flip: bool) -> np.ndarray:
    """Picture by picture, pixel arithmetic and convolution written out."""
    weight = embedder.convolution.weight.detach().numpy().astype(np.float64)
    bias = embedder.convolution.bias.detach().numpy()  # type: ignore[union-attr]
    rows = []
    for row in range(len(split)):
        pixels = np.asarray(Image.open(split.file(row))) / 255
        image = ((pixels - MEAN) / STD).transpose(2, 0, 1)
        views = [image, image[:, :, ::-1]] if flip else [image]
        rows.append(sum((weight * view).sum(axis=(1, 2, 3)) + bias for view in views))
    return np.array(rows)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_features_equal_a_naive_loop(embedder: PictureEmbedder, dataset: Dataset, flip: bool, batch_size: int) -> None:
    found = features_of(embedder, dataset.gallery, how(batch_size, flip))
    assert found.vectors.dtype == np.float32
    np.testing.assert_allclose(found.vectors, naive(embedder, dataset.gallery, flip), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(found.columns.pids, dataset.gallery.pids)
    np.testing.assert_array_equal(found.columns.camids, dataset.gallery.camids)
    assert found.parts is None
    assert found.visibility is None


def test_parts_are_summed_and_visibility_is_not(dataset: Dataset) -> None:
    torch.manual_seed(0)
    embedder = PartsEmbedder()
    plain, flipped = (features_of(embedder, dataset.query, how(flip=flip)) for flip in (False, True))
    for found in (plain, flipped):
        assert found.parts is not None
        np.testing.assert_allclose(found.parts.reshape(len(found), 4), found.vectors, rtol=1e-6)
    assert not np.allclose(plain.vectors, flipped.vectors)
    assert plain.visibility is not None
    assert plain.visibility.any()
    np.testing.assert_array_equal(plain.visibility, flipped.visibility)


def test_the_network_is_evaluated_not_trained(dataset: Dataset) -> None:
    modes: list[tuple[bool, bool]] = []

    class Watching(PictureEmbedder):
        def forward(self, images: Tensor, **extras: Tensor) -> Embedding:
            modes.append((self.training, torch.is_inference_mode_enabled()))
            return super().forward(images)

    features_of(Watching().train(), dataset.query, how())
    assert modes == [(False, True)] * 2


@pytest.mark.parametrize(
    ("configured", "habit", "expected"),
    [(None, True, True), (None, False, False), (False, True, False), (True, False, True)],
)
def test_flip_is_the_methods_habit_unless_configured(configured: bool | None, habit: bool, expected: bool) -> None:
    class Habit(PictureEmbedder):
        flip = habit

    config = Config.model_validate(
        {"test": {"flip": configured, "batch_size": 7}, "data": {"workers": 3, "height": 32, "mean": MEAN}}
    )
    found = Extraction.of(config, Habit(), CPU)
    assert (found.flip, found.batch_size, found.workers) == (expected, 7, 3)
    assert (found.preprocessing.height, found.preprocessing.mean) == (32, MEAN)


def test_a_picture_that_cannot_be_read_is_named(embedder: PictureEmbedder, tmp_path: Path) -> None:
    split = dataset_of(tmp_path).gallery
    split.file(6).write_bytes(b"no picture")
    with pytest.raises(UserError, match=f"the picture {split.file(6)} cannot be read"):
        features_of(embedder, split, how())


def test_stopping(embedder: PictureEmbedder, dataset: Dataset) -> None:
    asked: list[int] = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) == 2

    with pytest.raises(Stopped):
        features_of(embedder, dataset.gallery, how(3), stop=stop)
    assert len(asked) == 2
    features_of(embedder, dataset.gallery, how(3), stop=stop)
    assert len(asked) == 5  # once a batch


def test_without_a_sink_nothing_is_kept(embedder: PictureEmbedder, dataset: Dataset) -> None:
    extract(embedder, dataset.query, None, how())


def test_evaluation_by_hand(embedder: PictureEmbedder, dataset: Dataset) -> None:
    scores = evaluate_network(embedder, dataset, how(flip=True))
    query, gallery = (naive(embedder, split, flip=True) for split in (dataset.query, dataset.gallery))
    precisions, first = [], []
    for row, vector in enumerate(query):
        cosine = gallery @ vector / np.linalg.norm(gallery, axis=1)
        pid, camid = dataset.query.pids[row], dataset.query.camids[row]
        order = [n for n in np.argsort(-cosine) if (dataset.gallery.pids[n], dataset.gallery.camids[n]) != (pid, camid)]
        hits = [place for place, n in enumerate(order, 1) if dataset.gallery.pids[n] == pid]
        precisions.append(np.mean([found / place for found, place in enumerate(hits, 1)]))
        first.append(hits[0])
    assert scores.mAP == pytest.approx(np.mean(precisions))
    assert scores.cmc[1] == np.mean(np.array(first) == 1)
    assert (scores.queries, scores.valid_queries, scores.gallery) == (5, 5, 9)
    assert (scores.protocol, scores.scorer, scores.rerank) == ("market", "cosine", False)


def test_evaluation_needs_query_and_gallery(embedder: PictureEmbedder, dataset: Dataset) -> None:
    empty = Dataset("toys", dataset.train, Split.of(Path(), []), dataset.gallery)
    with pytest.raises(UserError, match="has no query pictures"):
        evaluate_network(embedder, empty, how())
