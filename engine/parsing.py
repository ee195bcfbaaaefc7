"""Look at the body parts that a trained network finds, or compare them with the true ones of a street.

python3 -m engine.parsing 0 checkpoints/hcga --images FOLDER --out parts.jpg      pictures, and their parts over them
python3 -m engine.parsing cpu checkpoints/street_hcga --dataset street-occlusion  how well they agree with the truth
python3 -m engine.parsing cpu checkpoints/street_hcga --dataset street-occlusion --by k-means

`--by network` is what the network says of single pictures. `stripes`, `k-means` and `co-parsing` parse the network's
feature maps of all pictures of one person at a time, with the numbers of the run's `options.parsing`, whichever of the
three it was trained with.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np
from torch import Tensor

from common.command import end_on_termination, exit_status
from common.contracts import UNKNOWN
from common.errors import UserError
from common.files import write_atomically
from common.progress import bar
from configs.loader import parse
from configs.schema import Config
from data.catalog import find
from data.readers.listing import pictures
from data.samples import Sample, Split, require
from data.street.part_truth import PartTruth
from data.transforms import Pixels
from engine.checkpoint import Checkpoint, checkpoint_file, load_checkpoint, load_weights, require_card
from engine.devices import parse_devices, place
from engine.extraction import Extraction
from engine.parsing_masks import Found, by_network, by_parser, each_batch
from engine.parsing_sheet import PAIRS, parsing_sheet
from engine.part_agreement import PARTS, PROTOCOL, Agreement, lines
from modeling.methods import build_embedder, options_of
from modeling.methods.method import ParsingEmbedder
from modeling.parsing import build_parser
from modeling.parsing.options import ParsingOptions
from modeling.parsing.parser import Parser

NETWORK = "network"
WAYS = (NETWORK, *reversed(get_args(ParsingOptions.model_fields["by"].annotation)))

_DRAWING: dict[str, Any] = {"out": Path("parts.jpg"), "rows": 4}
_JUDGING: dict[str, Any] = {"root": None, "split": "train", "by": NETWORK, "json": False}
"""The arguments that only one of the two knows, and what they are when not given."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    asked = _asked(arguments)
    devices = parse_devices(asked.devices)
    if devices.processes != 1:
        raise UserError(f"parts are found on one device, and '{asked.devices}' names {devices.processes}; name one")
    path = checkpoint_file(asked.checkpoint)
    checkpoint = load_checkpoint(path)
    require_card(checkpoint, path)
    config = _configuration(parse(checkpoint.card["config"], options_of), asked)
    embedder = _embedder(checkpoint, path, config)
    device = devices.device(0)
    how = Extraction.of(config, embedder, device)
    if asked.images is not None:
        split = _pictures_in(asked.images, PAIRS * asked.rows)
        place(embedder, device)
        _draw(embedder, split, how, asked.out)
        return 0
    judged = _judged(asked, checkpoint, config, place(embedder, device), how)
    print(json.dumps(judged, indent=2) if asked.json else _text(judged))
    return 0


def _sheet_file(text: str) -> Path:
    """Where the sheet goes; it is a JPEG."""
    path = Path(text)
    if path.suffix.lower() not in (".jpg", ".jpeg"):
        raise argparse.ArgumentTypeError(f"'{text}' is not the name of a .jpg file")
    return path


def _draw(embedder: ParsingEmbedder, split: Split, how: Extraction, out: Path) -> None:
    """Draw the sheet; nothing is written when a picture cannot be read."""
    size = how.preprocessing
    with bar(len(split), title="parsing", unit="picture") as drawn:
        sheet = parsing_sheet(_shown(embedder, split, how, drawn), len(split), size.height, size.width)
    write_atomically(out, lambda file: sheet.save(file, "JPEG", quality=85))
    print(f"drew {out}: {len(split)} pictures, each beside itself with its parts")


def _shown(embedder: ParsingEmbedder, split: Split, how: Extraction, drawn: Any) -> Iterator[tuple[Pixels, Tensor]]:
    """Each picture and the probabilities of its parts."""
    for raw, parsed in each_batch(embedder, embedder.parsed, split, np.arange(len(split)), how):
        yield from zip(raw.pixels.numpy(), parsed.cpu(), strict=True)
        drawn.update(len(raw.rows))


def _judged(
    asked: argparse.Namespace, checkpoint: Checkpoint, config: Config, embedder: ParsingEmbedder, how: Extraction
) -> dict[str, Any]:
    """What is told, ready for JSON; scores by name as `eval.py` tells them."""
    if embedder.parts != PARTS:
        raise UserError(
            f"the run '{config.name}' finds {embedder.parts} parts, and the truth of a street is of {PARTS}; judge one"
            f" that was trained with options.parsing.parts={PARTS}"
        )
    dataset = require(find(asked.dataset, asked.root, key="--root"), asked.split)
    split = dataset.splits[asked.split]
    truth = PartTruth.of(split)
    parser = None if asked.by == NETWORK else _parser_of(config, asked.by)
    started = time.perf_counter()
    agreement, fallbacks = Agreement(), 0
    with bar(len(split), title="parsing", unit="picture") as done:
        for found in _found(embedder, parser, split, how):
            agreement.add(found.masks, truth.cells(found.rows.tolist(), *found.masks.shape[1:]))
            fallbacks += found.fallback
            done.update(len(found.rows))
    seconds = time.perf_counter() - started
    card = checkpoint.card
    return {
        "protocol": PROTOCOL,
        **agreement.scores(),
        "by": asked.by,
        "dataset": dataset.name,
        "split": asked.split,
        "fingerprint": split.fingerprint(),
        "pictures": agreement.pictures,
        "identities": split.identities,
        "fallbacks": fallbacks,
        "run": card["name"],
        "method": card["method"],
        "epoch": card["epoch"],
        "seconds": seconds,
    }


def _found(embedder: ParsingEmbedder, parser: Parser | None, split: Split, how: Extraction) -> Iterator[Found]:
    if parser is None:
        return by_network(embedder, split, how)
    return by_parser(embedder, parser, split, how)


def _text(judged: dict[str, Any]) -> str:
    gave_up = f", {judged['fallbacks']} of them by its fallback" if judged["fallbacks"] else ""
    return "\n".join(
        [
            f"run '{judged['run']}' ({judged['method']}), epoch {judged['epoch']}: parts by {judged['by']} on"
            f" {judged['dataset']}, {judged['split']}, {judged['pictures']:,} pictures of"
            f" {judged['identities']:,} people{gave_up}, {judged['seconds']:.1f} s",
            "intersection over union with the true parts, %; cells summed over all pictures, then divided",
            *lines(judged),
        ]
    )


def _configuration(config: Config, asked: argparse.Namespace) -> Config:
    """The checkpoint's, with what was asked for differently."""
    given = {"test": {"batch_size": asked.batch_size}, "data": {"workers": asked.workers}}
    return config.changed(
        **{name: {key: value for key, value in keys.items() if value is not None} for name, keys in given.items()}
    )


def _embedder(checkpoint: Checkpoint, path: Path, config: Config) -> ParsingEmbedder:
    """The network with its weights; `UserError` when it finds no parts."""
    embedder = build_embedder(config)
    if not isinstance(embedder, ParsingEmbedder):
        raise UserError(
            f"{path} is of the method {config.method}, which finds no body parts; give a checkpoint of method: hcga"
        )
    load_weights(embedder, checkpoint, path)
    return embedder


def _parser_of(config: Config, by: str) -> Parser:
    """The parser of that name with all other numbers as the run has them."""
    own = getattr(config.options, "parsing", None)
    numbers = own.model_dump() if isinstance(own, ParsingOptions) else {}
    return build_parser(ParsingOptions(**{**numbers, "by": by}))


def _pictures_in(folder: Path, most: int) -> Split:
    """The first pictures below a folder, by name."""
    if not folder.is_dir():
        raise UserError(
            f"{folder} {'is a file' if folder.exists() else 'does not exist'}; give a folder of pictures with --images"
        )
    found = pictures(folder)
    if not found:
        raise UserError(f"there are no pictures in {folder}; give another folder with --images")
    if len(found) > most:
        print(f"{len(found):,} pictures in {folder}; drawing the first {most} (--rows)")
    return Split.of(folder, (Sample(path, UNKNOWN) for path in found[:most]))


def _asked(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python3 -m engine.parsing",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("devices", metavar="DEVICE", help="a GPU number, or cpu")
    parser.add_argument("checkpoint", type=Path, help="a .pt file that train.sh wrote, or a run's folder")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--images", type=Path, metavar="FOLDER", help="draw the parts of the pictures in it")
    where.add_argument("--dataset", metavar="NAME", help="compare with the true parts of a street of the catalog")
    drawing, judging = parser.add_argument_group("with --images"), parser.add_argument_group("with --dataset")
    drawing.add_argument("--out", type=_sheet_file, metavar="FILE.jpg", help=f"the sheet ({_DRAWING['out']})")
    drawing.add_argument("--rows", type=_from(1), metavar="N", help=f"of {PAIRS} pictures ({_DRAWING['rows']})")
    judging.add_argument("--root", type=Path, help="where it lies, if configs/datasets.yml does not say")
    judging.add_argument("--split", choices=("train", "query", "gallery"), help="whose pictures (train)")
    judging.add_argument("--by", choices=WAYS, help=f"what finds the parts ({NETWORK})")
    judging.add_argument("--json", action="store_true", default=None, help="print the scores as JSON")
    parser.add_argument("--batch-size", type=_from(1), metavar="N", help="pictures at a time (as configured)")
    parser.add_argument("--workers", type=_from(0), metavar="N", help="loader processes (as configured)")
    asked = parser.parse_args(arguments)
    used, unused = (_DRAWING, _JUDGING) if asked.images is not None else (_JUDGING, _DRAWING)
    for name in unused:
        if getattr(asked, name) is not None:
            raise UserError(f"--{name} says nothing of {'--images' if used is _DRAWING else '--dataset'}; leave it out")
    for name, usual in used.items():
        if getattr(asked, name) is None:
            setattr(asked, name, usual)
    return asked


def _from(least: int) -> Any:
    """A whole number from `least` on, as a type for `argparse`."""

    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from {least} on")
        return int(text)

    return number


if __name__ == "__main__":
    end_on_termination()
    sys.exit(exit_status(main))
