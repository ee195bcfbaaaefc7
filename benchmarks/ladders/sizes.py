"""What a training costs at each size, the same for all ladders: settings over a ladder's base."""

from __future__ import annotations

from benchmarks.ladders.ladder import Settings

ALWAYS: Settings = {"train.keep": 1, "train.evaluate_every": 0, "train.best": "mAP"}
"""Of every training: the last checkpoint is the one that is judged, so no other is kept and none is looked for."""

_SCRATCH: Settings = {"model.backbone": "resnet18", "model.pretrained": "none"}

SIZES: dict[str, Settings] = {
    # Seconds: shows that a ladder can be climbed, and nothing else.
    "tiny": {
        **_SCRATCH,
        "data.height": 64,
        "data.width": 32,
        "data.augment.pad": 2,
        "data.workers": 0,
        "batches.size": 16,
        "train.epochs": 1,
    },
    # A minute or two on two cores.
    "small": {
        **_SCRATCH,
        "data.height": 128,
        "data.width": 64,
        "data.augment.pad": 5,
        "data.workers": 1,
        "batches.size": 32,
        "train.epochs": 12,
        "train.opt_level": "O1",
    },
    # For a GPU.
    "large": {
        **_SCRATCH,
        "data.height": 256,
        "data.width": 128,
        "data.augment.pad": 10,
        "batches.size": 64,
        "train.epochs": 40,
        "train.opt_level": "O1",
    },
}
