"""Make the maps of the joints of every picture of a dataset once, for `data.poses.source=cached`.

python3 -m engine.pose 0 --dataset market --weights pose_hrnet_w48_384x288.pth
python3 -m engine.pose cpu --dataset street --source keypoints      from joints.json in the dataset's folder
python3 -m engine.pose cpu --dataset street --source keypoints --sheet poses.jpg      only look at some of them

The same command again goes on where an interrupted one stopped.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch

from common.command import end_on_termination, exit_status
from common.contracts import UNKNOWN
from common.errors import UserError
from common.files import human, write_atomically
from common.progress import bar
from configs.schema import Config, Data, Poses
from data.catalog import find
from data.loader import PictureLoader, Pictures, RawBatch, WholeBatches
from data.poses.pose_file import Contents
from data.poses.pose_writer import PoseWriter
from data.samples import Dataset, Ints, Sample, Split
from data.transforms import Preprocessing
from engine.devices import parse_devices
from engine.inputs import Inputs, RowInputs
from engine.pose_sheet import pose_sheet

_SOURCES = ("hrnet", "keypoints")
_DRAWN_AT_ONCE = 256


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    options = _parser().parse_args(arguments)
    devices = parse_devices(options.devices)
    if devices.processes != 1:
        raise UserError(f"maps are made on one device, and '{options.devices}' names {devices.processes}; name one")
    dataset = find(options.dataset, options.root, key="--root")
    everything = pictures_of(dataset)
    config = configuration(options)
    device = devices.device(0)
    if options.sheet is not None:
        sheet = pose_sheet(everything, Inputs(("poses",), config), config, device)
        write_atomically(options.sheet, lambda file: sheet.save(file, "JPEG", quality=80))
        print(f"drew {options.sheet}: pictures, their maps, the same augmented as in training")
        return 0
    given = Inputs(("poses",), config).of([everything], device)
    contents = contents_of(everything, config, given)
    name = options.name or dataset.name
    if Path(name).name != name:
        raise UserError(f"--name {name} is no name of one folder; give one without slashes")
    folder = options.folder / name
    print(
        f"{dataset.name}: maps of {len(everything):,} pictures, {' x '.join(map(str, contents.shape[1:]))} each,"
        f" {human(contents.nbytes)} in {folder}"
    )
    with PoseWriter(folder, contents) as writer:
        missing = writer.missing()
        if len(missing) < len(everything):
            print(f"{len(everything) - len(missing):,} are there already")
        started = time.perf_counter()
        with bar(len(missing), title="maps", unit="picture") as drawn:
            for raw in _batches(everything, missing, config):
                writer.write(raw.rows.numpy(), given(raw, torch.empty(0))["poses"].cpu().numpy())
                drawn.update(len(raw.rows))
    seconds = time.perf_counter() - started
    print(f"made {len(missing):,} in {seconds:.1f} s ({len(missing) / seconds:.0f} a second)")
    print(f"train with: data.poses.source=cached data.poses.folder={options.folder}")
    return 0


def pictures_of(dataset: Dataset) -> Split:
    """All pictures of a dataset, each once, without labels; `UserError` when there are none."""
    roots = {split.root for split in dataset.splits.values() if len(split)}
    if len(roots) != 1:
        raise UserError(f"dataset '{dataset.name}' has pictures below {len(roots)} folders; expected one")
    paths = dict.fromkeys(path for split in dataset.splits.values() for path in split.paths)
    return Split.of(roots.pop(), (Sample(path, UNKNOWN) for path in paths))


def configuration(options: argparse.Namespace) -> Config:
    """What the options come to in the words of a run."""
    named = ("source", "network", "weights", "face", "file")
    given = {name: value for name in named if (value := getattr(options, name)) is not None}
    data = Data(height=options.height, width=options.width, workers=options.workers, poses=Poses(**given))
    return Config(data=data).changed(test={"batch_size": options.batch_size})


def contents_of(everything: Split, config: Config, given: RowInputs) -> Contents:
    """What the file will be of."""
    facts: dict[str, Any] = given.facts["poses"]
    made_by = {name: value for name, value in facts.items() if name not in ("face", "shuffled")}
    sizes = [everything.file(row).stat().st_size for row in range(len(everything))]
    size = (config.data.height, config.data.width)
    return Contents(list(everything.paths), sizes, config.data.poses.channels, *size, made_by)


def _batches(everything: Split, rows: Ints, config: Config) -> Iterator[RawBatch]:
    """The pictures of these rows, or where joints are known already only the rows."""
    if config.data.poses.source == "keypoints":
        for start in range(0, len(rows), _DRAWN_AT_ONCE):
            nothing, these = (
                torch.empty(0),
                torch.from_numpy(np.ascontiguousarray(rows[start : start + _DRAWN_AT_ONCE])),
            )
            yield RawBatch(nothing, these, nothing)
        return
    batches = WholeBatches(rows.tolist(), config.test.batch_size)
    with PictureLoader(
        Pictures(everything.file, Preprocessing.of(config.data)), batches, config.data.workers
    ) as loader:
        yield from loader


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m engine.pose",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    usual, poses = Data(), Poses()
    parser.add_argument("devices", metavar="DEVICE", help="a GPU number, or cpu")
    parser.add_argument("--dataset", required=True, metavar="NAME", help="a name in configs/datasets.yml")
    parser.add_argument("--root", type=Path, help="where it lies, if configs/datasets.yml does not say")
    parser.add_argument("--source", choices=_SOURCES, default="hrnet", help="a network, or a file of joints (hrnet)")
    networks = get_args(Poses.model_fields["network"].annotation)
    parser.add_argument("--network", choices=networks, default=poses.network, help=f"of hrnet ({poses.network})")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="of hrnet: a COCO checkpoint of the network")
    parser.add_argument("--file", type=Path, help=f"of keypoints; counts from the dataset's root ({poses.file})")
    faces = get_args(Poses.model_fields["face"].annotation)
    parser.add_argument(
        "--face", choices=faces, default=poses.face, help="13 maps, or 17 with the face's apart (merged)"
    )
    parser.add_argument("--height", type=_number, default=usual.height, help=f"of the pictures ({usual.height})")
    parser.add_argument("--width", type=_number, default=usual.width, help=f"of the pictures ({usual.width})")
    parser.add_argument("--batch-size", type=_number, default=64, help="pictures at once (64)")
    parser.add_argument("--workers", type=_number, default=usual.workers, help=f"loader processes ({usual.workers})")
    parser.add_argument(
        "--folder", type=Path, default=poses.folder, help=f"where all datasets' maps lie ({poses.folder})"
    )
    parser.add_argument("--sheet", type=Path, metavar="FILE.jpg", help="draw some pictures and maps, make nothing else")
    parser.add_argument("--name", help="of this dataset's folder in there (the dataset's)")
    return parser


def _number(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from 1 on")
    return int(text)


if __name__ == "__main__":
    end_on_termination()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    sys.exit(exit_status(main))
