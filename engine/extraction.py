"""Pictures into embeddings, once each, over all processes, into memory or into a feature folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import ignite.distributed as idist
import numpy as np
import torch
from ignite.engine import Engine
from numpy.typing import NDArray
from torch import Tensor

from common.contracts import Embedding
from common.progress import watched
from common.ranks import gather_rows
from configs.schema import Config
from data.loader import PictureLoader, Pictures, RawBatch, WholeBatches
from data.samples import Split
from data.transforms import Preprocessing
from engine.handlers.progress import Progress
from engine.inputs import Inputs, RowInputs
from modeling.methods.method import Embedder, PairEmbedder
from retrieval.columns import Columns, Features, Ints

Array = NDArray[np.float32]
Halves = NDArray[np.float16]


class Stopped(Exception):
    """A signal arrived while features were extracted."""


class Sink(Protocol):
    """Where rows go as they are ready, in any order."""

    def write(
        self, index: NDArray[np.int64], vectors: Array, parts: Array | None, visibility: Array | None
    ) -> None: ...


class InMemory:
    """A sink that keeps the rows.

    Args:
        columns: the labels of all N rows.
    """

    def __init__(self, columns: Columns) -> None:
        self.columns = columns
        self._arrays: dict[str, Array] = {}

    def write(self, index: NDArray[np.int64], vectors: Array, parts: Array | None, visibility: Array | None) -> None:
        given = {"vectors": vectors, "parts": parts, "visibility": visibility}
        for name, rows in given.items():
            if rows is not None:
                shape = (len(self.columns), *rows.shape[1:])
                self._arrays.setdefault(name, np.zeros(shape, dtype=np.float32))[index] = rows

    def features(self) -> Features:
        return Features(columns=self.columns, **self._arrays)


def columns_of(split: Split) -> Columns:
    """A split's labels in the words of `retrieval`."""
    return Columns(split.pids, split.camids, split.clothes)


@dataclass(frozen=True)
class Extraction:
    """How pictures become features, whoever asks for them.

    Attributes:
        workers: loader processes.
        flip: add the embedding of the mirrored picture.
        inputs: where that comes from which the network is given beside the pictures.
    """

    preprocessing: Preprocessing
    device: torch.device
    batch_size: int
    workers: int
    flip: bool
    inputs: Inputs = field(default_factory=lambda: Inputs((), Config()))

    @classmethod
    def of(cls, config: Config, embedder: Embedder, device: torch.device, inputs: Inputs | None = None) -> Extraction:
        """As the configuration says; the flip is the method's habit unless it is configured.

        Args:
            inputs: those of the run, where they have been read already.
        """
        flip = embedder.flip if config.test.flip is None else config.test.flip
        inputs = Inputs(embedder.inputs, config) if inputs is None else inputs
        return cls(Preprocessing.of(config.data), device, config.test.batch_size, config.data.workers, flip, inputs)


def extract(
    embedder: Embedder,
    split: Split,
    sink: Sink | None,
    how: Extraction,
    title: str = "features",
    stop: Callable[[], bool] | None = None,
) -> None:
    """Embed every picture of `split`, without autocast, and write it to `sink`.

    Batches are handed to the processes whole, so the features do not depend on how many there are.

    Args:
        sink: None on a process that only computes.
        title: of the progress bar.
        stop: asked after each batch on all processes; `Stopped` is raised on all when it says so.

    Raises:
        UserError: a picture cannot be read (named), or what is given beside it is not there.
    """

    def work(batch: RawBatch, images: Tensor, beside: dict[str, Tensor], inputs: RowInputs) -> None:
        embedding = _embed(embedder, images, beside, inputs.mirrored(beside) if how.flip else None)
        rows = gather_rows(batch.rows.to(how.device))
        fields = {
            name: gather_rows(value.float()[: len(batch.rows)]).cpu().numpy()
            for name, value in embedding.fields().items()
            if name != "maps"
        }
        if sink is not None:
            sink.write(rows.cpu().numpy(), fields["vector"], fields.get("parts"), fields.get("visibility"))
        if stop is not None and stop():
            raise Stopped

    _each_batch(embedder, split, how, title, work)


def extract_maps(
    embedder: PairEmbedder, split: Split, write: Callable[[Ints, Halves], None] | None, how: Extraction, title: str
) -> None:
    """Hand the feature maps of every picture of `split` to `write`, in half precision: rows `(b,)`, `(b, C, h, w)`.

    They are of the picture as it is, whether or not features add its mirror image: what two pictures are like given
    each other was learned without.

    Args:
        write: None on a process that only computes.

    Raises:
        UserError: as `extract`.
    """

    def work(batch: RawBatch, images: Tensor, beside: dict[str, Tensor], inputs: RowInputs) -> None:
        maps = _maps(embedder, images, beside)[: len(batch.rows)]
        most = torch.finfo(torch.float16).max
        rows, halves = gather_rows(batch.rows.to(how.device)), gather_rows(maps.clamp(-most, most).half())
        if write is not None:
            write(rows.cpu().numpy(), halves.cpu().numpy())

    _each_batch(embedder, split, how, title, work)


def map_shape(embedder: PairEmbedder, split: Split, how: Extraction) -> tuple[int, ...]:
    """(C, h, w) of what `extract_maps` would hand over."""
    inputs = how.inputs.of([split], how.device)
    batch = _grey(how.preprocessing)._replace(rows=torch.zeros(1, dtype=torch.int64))
    images = how.preprocessing.normalise(batch.pixels.to(how.device))
    embedder.eval()
    return tuple(_maps(embedder, images, inputs(batch, images)).shape[1:])


def _maps(embedder: PairEmbedder, images: Tensor, beside: dict[str, Tensor]) -> Tensor:
    embedder.with_maps = True
    try:
        with torch.inference_mode():
            maps = embedder(images, **beside).maps
    finally:
        embedder.with_maps = False
    assert isinstance(maps, Tensor)
    return maps


def _each_batch(
    embedder: Embedder,
    split: Split,
    how: Extraction,
    title: str,
    work: Callable[[RawBatch, Tensor, dict[str, Tensor], RowInputs], None],
) -> None:
    """Show all pictures to `work`: a batch, its images on the device, what is beside them, and where that is from."""
    inputs = how.inputs.of([split], how.device)
    world = idist.get_world_size()
    batches = WholeBatches(range(len(split)), how.batch_size, idist.get_rank(), world)
    pictures = Pictures(split.file, how.preprocessing, plain=inputs.plain)
    loader = PictureLoader(pictures, batches, how.workers, how.device.type == "cuda")
    steps = -(-len(split) // (how.batch_size * world))
    embedder.eval()

    def process(engine: Engine, batch: RawBatch) -> None:
        images = how.preprocessing.normalise(batch.pixels.to(how.device, non_blocking=True))
        beside = inputs(batch if len(batch.rows) else batch._replace(rows=torch.zeros(1, dtype=torch.int64)), images)
        work(batch, images, beside, inputs)

    extractor: Any = Engine(process)
    if watched() and idist.get_rank() == 0:
        Progress(title).attach(extractor)
    with loader:
        extractor.run(_padded(loader, steps, how.preprocessing), max_epochs=1, epoch_length=steps)


def _embed(
    embedder: Embedder, images: Tensor, beside: dict[str, Tensor], turned: dict[str, Tensor] | None
) -> Embedding:
    """The embedding of pictures with what is beside them, plus that of the mirrored ones with `turned` beside them."""
    with torch.inference_mode():
        embedding: Embedding = embedder(images, **beside)
        if turned is None:
            return embedding
        mirrored: Embedding = embedder(images.flip(3), **turned)
        parts = None if embedding.parts is None or mirrored.parts is None else embedding.parts + mirrored.parts
        return Embedding(embedding.vector + mirrored.vector, parts, embedding.visibility)


def _padded(loader: PictureLoader, steps: int, preprocessing: Preprocessing) -> Iterator[RawBatch]:
    """The loader's batches, then batches of no rows until `steps`: every process takes part in every gathering.

    Such a batch still shows one grey picture to the network, with what belongs to the split's first one beside it, so
    that the shapes of its embedding are known.
    """
    yield from loader
    for _ in range(steps - len(loader)):
        yield _grey(preprocessing)


def _grey(preprocessing: Preprocessing) -> RawBatch:
    """One picture that is no row's."""
    grey = torch.zeros((1, preprocessing.height, preprocessing.width, 3), dtype=torch.uint8)
    none = torch.empty(0, dtype=torch.int64)
    return RawBatch(grey, none, none)
