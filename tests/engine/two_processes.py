"""What two gloo processes do together; `test_distributed.py` starts them and looks at what they leave behind.

Run as `python3 -m tests.engine.two_processes RANK FOLDER`.
"""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import numpy as np
import torch
from torch import nn

import engine.gradients as gradients
from common.contracts import Batch
from common.ranks import gather_rows, largest
from configs.loader import parse, plain
from data.transforms import Preprocessing
from engine.amp import Amp
from engine.evaluation import evaluate_network
from engine.extraction import Extraction, InMemory, Stopped, columns_of, extract
from engine.handlers.batch_statistics import BatchStatistics
from modeling.methods import build_method, options_of
from tests.engine.posed import PosedEmbedder
from tests.engine.toys import (
    CPU,
    PictureEmbedder,
    Toy,
    batch_of,
    config_of,
    dataset_of,
    engine_of,
    facts_of,
    parts_of,
    trainer_of,
    weights_of,
)

WORLD = 2
DTYPES = (torch.float32, torch.float32, torch.float64, torch.float32, torch.bfloat16)
PEOPLE = (0, 0, 1, 1, 2, 2, 0, 0)
SIZES = ((5, 3), (7,), (2, 2), (40,), (3,))

Result = dict[str, Any]


def gradients_of(rank: int) -> list[nn.Parameter]:
    """Parameters of mixed types with gradients that differ between the processes; the last has none."""
    random = torch.Generator().manual_seed(rank)
    parameters = []
    for size, dtype in zip(SIZES, DTYPES, strict=True):
        parameter = nn.Parameter(torch.zeros(size, dtype=dtype))
        parameter.grad = torch.randn(size, generator=random).to(dtype)
        parameters.append(parameter)
    images = nn.Parameter(torch.zeros(2, 3, 4, 5).to(memory_format=torch.channels_last))
    images.grad = torch.randn(2, 3, 4, 5, generator=random).to(memory_format=torch.channels_last)
    return [*parameters, images, nn.Parameter(torch.zeros(2))]


def network_of(rank: int) -> nn.Module:
    torch.manual_seed(rank)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.BatchNorm1d(4), nn.Dropout())
    with torch.no_grad():
        for buffer in network.buffers():
            buffer.copy_(torch.rand(buffer.shape) * 10)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing from torch's stubs
    return network


def average(rank: int, folder: Path) -> Result:
    results: Result = {}
    for piece in (1, 10, 1 << 23):
        gradients.PIECE = piece
        parameters = gradients_of(rank)
        gradients.average_gradients(parameters)
        results[str(piece)] = [parameter.grad for parameter in parameters]
    return results


def statistics(rank: int, folder: Path) -> Result:
    network = network_of(rank)
    BatchStatistics(network)(engine_of())
    return network.state_dict()


def broadcast(rank: int, folder: Path) -> Result:
    network = network_of(rank)
    gradients.broadcast_state(network)
    return network.state_dict()


def gathering(rank: int, folder: Path) -> Result:
    def rows(count: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        return (torch.arange(count * 2).reshape(count, 2) + 100 * rank).to(dtype)

    counts = {"3 and 4": (3, 4), "0 and 2": (0, 2), "2 and 0": (2, 0), "0 and 0": (0, 0)}
    gathered: Result = {name: gather_rows(rows(pair[rank])) for name, pair in counts.items()}
    gathered["int64"] = gather_rows(rows(rank + 1, torch.int64)[:, 0])
    gathered["largest"] = (largest(rank), largest(-rank), largest(7))
    return gathered


def training(rank: int, folder: Path) -> Result:
    torch.manual_seed(0)
    results: Result = {}
    for accumulate in (1, 2):
        method = Toy()
        trainer, _ = trainer_of(
            method, config=config_of(optimizer={"momentum": 0.9}), accumulate=accumulate, clip_norm=0.5
        )
        # Four joint batches of 8, of which each process has a half.
        parts = [parts_of(batch_of(8, seed), WORLD)[rank] for seed in range(4)]
        trainer.run(parts, max_epochs=2)
        results[str(accumulate)] = weights_of(method)
    return results


def baseline(rank: int, folder: Path) -> Result:
    return learned(rank, "baseline", {"center": {"weight": 0.0005}})


def aim(rank: int, folder: Path) -> Result:
    opened = {name: {"from_epoch": 1} for name in ("adversarial", "causal", "transfer")}
    return learned(rank, "aim", {**opened, "fused": {"weight": 0.5, "from_epoch": 1}})


def learned(rank: int, name: str, options: dict[str, Any]) -> Result:
    """A real method on different pictures, from weights that differ at first."""
    torch.manual_seed(rank)
    config = config_of(model={"backbone": "resnet18", "pretrained": "none"}, optimizer={"lr": 0.01})
    config = parse({**plain(config), "method": name, "options": options}, options_of)
    whole = batch_of(8)
    clothes = torch.tensor([0, 1, 2, 2, 3, 3, 0, 1])
    method = build_method(config, facts_of(3, replace(whole, labels=torch.tensor(PEOPLE), clothes=clothes), 4))
    gradients.broadcast_state(method)
    trainer, _ = trainer_of(method, Amp("O0", torch.float32, CPU), config)
    images = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    part = parts_of(whole, WORLD)[rank]
    share = slice(4 * rank, 4 * rank + 4)
    labels = torch.tensor(PEOPLE)[share]
    batch = Batch(images[share], labels, part.camids, clothes[share], part.index, part.domain, part.geometry)
    trainer.run([batch, batch], max_epochs=1)
    return {"weights": weights_of(method), "mean": method.state_dict()["embedder.neck.running_mean"]}


def evaluation(rank: int, folder: Path) -> Result:
    dataset = dataset_of(folder / f"pictures{rank}")
    return evaluation_of(dataset, folder)


def evaluation_of(dataset: Any, folder: Path) -> Result:
    """Also called by the test itself, as the one process to compare with."""
    results: Result = {}
    for size in (2, 4):
        torch.manual_seed(0)
        embedder = PictureEmbedder()
        how = Extraction(Preprocessing(32, 16, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)), CPU, size, workers=0, flip=True)
        for title in ("query", "gallery"):
            sink = InMemory(columns_of(dataset.splits[title]))
            extract(embedder, dataset.splits[title], sink, how)
            results[f"{title} {size}"] = torch.from_numpy(sink.features().vectors)
        results[f"scores {size}"] = evaluate_network(embedder, dataset, how).as_dict()
    return results


def posed(rank: int, folder: Path) -> Result:
    return posed_of(folder / f"posed{rank}")


def posed_of(folder: Path) -> Result:
    """Features of a network that is given poses; also called by the test itself, as the one process."""
    dataset = dataset_of(folder)
    joints = np.random.default_rng(0).uniform(0, 16, (14, 17, 3)).tolist()
    paths = [path for split in (dataset.query, dataset.gallery) for path in split.paths]
    (folder / "joints.json").write_text(json.dumps(dict(zip(paths, joints, strict=True))))
    results: Result = {}
    for shuffled in (False, True):
        torch.manual_seed(0)
        embedder = PosedEmbedder(13)
        poses = {"source": "keypoints", "shuffled": shuffled}
        config = config_of(data={"height": 32, "width": 16, "workers": 0, "poses": poses}, test={"batch_size": 2})
        how = Extraction.of(config.changed(test={"flip": True}), embedder, CPU)
        for title in ("query", "gallery"):
            sink = InMemory(columns_of(dataset.splits[title]))
            extract(embedder, dataset.splits[title], sink, how)
            results[f"{title} {shuffled}"] = torch.from_numpy(sink.features().vectors)
    return results


def stopping(rank: int, folder: Path) -> Result:
    """One process is asked to stop, both do, after the same batch."""
    dataset = dataset_of(folder / f"more{rank}")
    how = Extraction(Preprocessing(32, 16, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)), CPU, 2, workers=0, flip=False)
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return largest(int(rank == 1 and asked == 2)) > 0

    try:
        extract(PictureEmbedder(), dataset.gallery, None, how, stop=stop)
    except Stopped:
        return {"asked": asked, "stopped": True}
    return {"asked": asked, "stopped": False}


CHECKS: dict[str, Callable[[int, Path], Result]] = {
    check.__name__: check
    for check in (average, statistics, broadcast, gathering, training, baseline, aim, evaluation, posed, stopping)
}


def main(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    idist.initialize("gloo", init_method=f"file://{folder / 'meeting'}", world_size=WORLD, rank=rank)
    torch.save({name: check(rank, folder) for name, check in CHECKS.items()}, folder / f"{rank}.pt")
    gc.collect()
    idist.finalize()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
