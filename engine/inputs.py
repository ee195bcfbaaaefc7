"""What a network is given beside the pictures: tensors by name, for the rows of a training set or of a split.

A network says what it needs (`Embedder.inputs`). A run makes one `Inputs` of those names, and asks it for the rows that
it is about to go through:

    inputs = Inputs(embedder.inputs, config)
    given = inputs.of(training_set.splits, device, config.data.augment)
    Pictures(training_set.file, preprocessing, augmentation, plain=given.plain)
    extras = given(raw, images)

A new kind is a file beside this one with a `Source`, and a line in `INPUTS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from common.errors import unknown_name
from configs.schema import Augment, Config
from data.loader import RawBatch
from data.samples import Ints, Split
from engine.poses import PoseSource


class Input(Protocol):
    """One kind of input for some rows.

    Attributes:
        plain: `(N,)` for each row the row of the picture that it wants to see without augmentation
            (`RawBatch.plain`); None: it wants none.
        facts: plain values that say what it is made of. Features made with other ones are other features.
        words: the same for people.
    """

    @property
    def plain(self) -> Ints | None: ...

    @property
    def facts(self) -> Mapping[str, Any]: ...

    @property
    def words(self) -> str: ...

    def __call__(self, raw: RawBatch, images: Tensor) -> Tensor:
        """`(B, …)` for the rows of a batch; `images` are its pictures, normalised and on the device."""

    def mirrored(self, values: Tensor) -> Tensor:
        """What it gives for the mirrored pictures, from what it gave for the pictures."""


class Source(Protocol):
    """Where one kind of input comes from."""

    def of(self, splits: Sequence[Split], device: torch.device, augment: Augment | None) -> Input:
        """For the rows of these splits, one after the other.

        Args:
            augment: what is done to the pictures, along with which it moves; None: nothing.

        Raises:
            UserError: something is missing for one of the pictures.
        """


INPUTS: dict[str, Callable[[Config], Source]] = {"poses": PoseSource}


class RowInputs:
    """All inputs of some rows, by name; of a network that needs none, nothing."""

    def __init__(self, inputs: Mapping[str, Input]) -> None:
        self._inputs = dict(inputs)

    @property
    def plain(self) -> Ints | None:
        """The rows whose pictures must come along without augmentation, as `data.loader.Pictures` takes them."""
        asked = [each.plain for each in self._inputs.values() if each.plain is not None]
        if any(not np.array_equal(rows, asked[0]) for rows in asked[1:]):
            raise ValueError(
                f"a batch has room for one plain picture a row, and {', '.join(self._inputs)} ask for more"
            )
        return asked[0] if asked else None

    @property
    def facts(self) -> dict[str, dict[str, Any]]:
        """What each is made of."""
        return {name: dict(each.facts) for name, each in self._inputs.items()}

    @property
    def words(self) -> dict[str, str]:
        """The same for people."""
        return {name: each.words for name, each in self._inputs.items()}

    def __call__(self, raw: RawBatch, images: Tensor) -> dict[str, Tensor]:
        return {name: each(raw, images) for name, each in self._inputs.items()}

    def mirrored(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The inputs of the mirrored pictures."""
        return {name: each.mirrored(values[name]) for name, each in self._inputs.items()}


NONE = RowInputs({})


class Inputs:
    """The sources of what a network needs, each read once for a run.

    Args:
        names: `Embedder.inputs`.

    Raises:
        UserError: a name is unknown.
    """

    def __init__(self, names: Sequence[str], config: Config) -> None:
        unknown = next((name for name in names if name not in INPUTS), None)
        if unknown is not None:
            raise unknown_name("input of a network", unknown, INPUTS)
        self._sources = {name: INPUTS[name](config) for name in names}

    def of(self, splits: Sequence[Split], device: torch.device, augment: Augment | None = None) -> RowInputs:
        """All inputs for the rows of these splits; see `Source.of`."""
        return RowInputs({name: source.of(splits, device, augment) for name, source in self._sources.items()})
