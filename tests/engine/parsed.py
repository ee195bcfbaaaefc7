"""A network that finds parts by brightness and height, small enough to do it again by hand, and its checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common.contracts import Embedding
from configs.loader import parse, plain
from configs.schema import Config, Data, Section
from data.samples import Ints, Split
from data.transforms import Preprocessing
from engine.checkpoint import CARD, Checkpoint, save_checkpoint
from modeling.methods import options_of
from modeling.methods.method import Method, ParsingEmbedder
from modeling.parsing.options import ParsingOptions

PREPROCESSING = Preprocessing.of(Data(height=32, width=16))


class ParsedEmbedder(ParsingEmbedder):
    """Maps `(B, 4, h, w)`: colours and rows of cells of 4 x 4 pixels. Dark cells are background."""

    def __init__(self, parts: int = 3) -> None:
        super().__init__()
        self.parts = parts
        self.threshold = nn.Parameter(torch.zeros(1))
        self.asked = 0  # batches

    def forward(self, images: Tensor, **extras: Tensor) -> Embedding:
        return Embedding(self.maps(images).mean(dim=(2, 3)))

    def maps(self, images: Tensor) -> Tensor:
        self.asked += 1
        assert not self.training
        colours = F.avg_pool2d(images, 4, ceil_mode=True)
        count, _, height, width = colours.shape
        heights = torch.arange(height, device=images.device).view(1, 1, -1, 1).expand(count, 1, height, width)
        return torch.cat((colours, heights.float()), dim=1)

    def parsed(self, images: Tensor) -> Tensor:
        maps = self.maps(images)
        bright = maps[:, :3].mean(1) > self.threshold
        parts = (maps[:, 3] * self.parts / maps.shape[2]).long() + 1
        return F.one_hot(parts * bright, self.parts + 1).permute(0, 3, 1, 2).float()


class ParsedOptions(Section):
    parsing: ParsingOptions = ParsingOptions()


class ParsedMethod(Method):
    """Only its embedder is ever built."""

    Options = ParsedOptions

    @classmethod
    def build_embedder(cls, config: Config) -> ParsedEmbedder:
        options = config.options
        assert isinstance(options, ParsedOptions)
        return ParsedEmbedder(options.parsing.parts)


def images_of(split: Split, rows: Ints) -> Tensor:
    """`(B, 3, 32, 16)` as the network sees them."""
    pixels = np.empty((len(rows), 32, 16, 3), np.uint8)
    for row, out in zip(rows.tolist(), pixels, strict=True):
        PREPROCESSING.read(split.file(row), out)
    return PREPROCESSING.normalise(torch.from_numpy(pixels))


def checkpoint_of(path: Path, method: str, **parsing: Any) -> Path:
    """A checkpoint of a run that was trained with these `options.parsing`; the method must be known by its name."""
    tree: dict[str, Any] = {"name": "parsed", "method": method}
    if method != "baseline":
        tree["options"] = {"parsing": parsing}
    else:
        tree["model"] = {"backbone": "resnet18", "pretrained": "none"}
    config = parse({**tree, "data": {"height": 32, "width": 16, "workers": 1}, "test": {"batch_size": 5}}, options_of)
    card = {**dict.fromkeys(CARD), "name": "parsed", "method": method, "config": plain(config), "epoch": 3}
    save_checkpoint(Checkpoint({"threshold": torch.tensor([0.1])}, {}, card), path)
    return path
