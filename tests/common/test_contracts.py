"""What travels between the rooms."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from common.contracts import Batch, Embedding


def batch(size: int = 2) -> Batch:
    return Batch(
        images=torch.zeros(size, 3, 8, 4),
        labels=torch.arange(size),
        camids=torch.arange(size) + 10,
        clothes=torch.arange(size) + 20,
        index=torch.arange(size) + 30,
        domain=torch.arange(size) + 40,
        geometry=torch.zeros(size, 7, dtype=torch.int64),
        extras={"masks": torch.ones(size, 1, 4, 4)},
    )


def test_with_images_changes_nothing_else() -> None:
    old = batch()
    images = torch.ones(2, 3, 8, 4)
    new = old.with_images(images)
    assert new.images is images
    assert not old.images.any()
    for field in dataclasses.fields(Batch):
        if field.name != "images":
            assert getattr(new, field.name) is getattr(old, field.name), field.name


def test_batch_length_and_extras() -> None:
    assert [len(batch(size)) for size in (0, 1, 5)] == [0, 1, 5]
    plain = Batch(**{f.name: getattr(batch(), f.name) for f in dataclasses.fields(Batch) if f.name != "extras"})
    assert plain.extras == {}
    with pytest.raises(dataclasses.FrozenInstanceError):
        plain.images = torch.ones(1)  # type: ignore[misc]


def test_embedding_fields_are_those_that_are_there() -> None:
    vector, parts, visibility, maps = (torch.full((2, 1), float(n)) for n in range(4))
    assert Embedding(vector).fields() == {"vector": vector}
    some = Embedding(vector, maps=maps).fields()
    assert list(some) == ["vector", "maps"]
    assert some["maps"] is maps
    every = Embedding(vector, parts, visibility, maps).fields()
    assert list(every) == ["vector", "parts", "visibility", "maps"]
    assert every["vector"] is vector
    assert every["parts"] is parts
    assert every["visibility"] is visibility
