"""Write a street of people seen by cameras: an ordinary dataset folder, and the truth about every picture.

python3 -m data.street OUT --split clothes --size small --workers 4
python3 -m data.street OUT --layout ltcc --identities 40 --outfits 3 --city 1 --seed 7 --height 256 --width 128
python3 -m data.street --sheet --about outfits --height 256 --width 128
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from common.command import end_on_termination, exit_status
from common.errors import UserError
from common.files import write_atomically
from data.street.config import StreetConfig
from data.street.layouts import LAYOUTS
from data.street.sheet import SHEETS, contact_sheet, sheet_of
from data.street.splits import SIZES, SPLITS, split_of
from data.street.standing import Summary
from data.street.writer import write_street

FORMATS = {".png": "PNG", ".jpg": "JPEG"}

ABOUT = {
    "layout": f"how the folder is laid out: {', '.join(sorted(LAYOUTS))}",
    "identities": "people who are asked for, training and test together",
    "cameras": "cameras; each sees everybody",
    "outfits": "outfits of each person (layouts ltcc, prcc)",
    "shots": "pictures of each person in each camera (and outfit)",
    "height": "height of a picture in pixels",
    "width": "width of a picture in pixels",
    "seed": "another seed gives another street",
    "city": "another city has other people, fashion, cameras and places",
    "train_share": "part of the identities that is for training",
    "distractors": "gallery pictures of passers-by whom no query asks for",
    "sharing": "people who wear the same clothes",
    "likeness": "how alike bodies are, 0 to 1",
    "headings": "part of the pictures in which people head anywhere, 0 to 1",
    "standing": "part of the pictures in which people stand, 0 to 1",
    "occluded": "part of the pictures in which something is in the way, 0 to 1",
    "hidden_least": "least share of a person that is hidden then",
    "hidden_most": "greatest share",
}


def _parser() -> argparse.ArgumentParser:
    default = StreetConfig()
    parser = argparse.ArgumentParser(
        prog="python3 -m data.street",
        description="Write a folder of procedural people seen by cameras, laid out as a published dataset, with "
        "street.json (the settings), causes.json and pictures.jsonl (every cause), joints.json and parts/ (17 joints "
        "and a part map of every picture). The same settings give the same bytes.",
        epilog="A folder that already holds this street is left as it is. It is not real data.",
        allow_abbrev=False,
    )
    parser.add_argument("out", type=Path, metavar="OUT", nargs="?", help="the folder to write; not needed with --sheet")
    parser.add_argument("--split", metavar="NAME", help=f"start from a named split: {', '.join(SPLITS)}")
    parser.add_argument("--size", metavar="SIZE", help=f"of --split: {', '.join(SIZES)} (small)")
    for name in StreetConfig.names():
        value = getattr(default, name)
        parser.add_argument(
            f"--{name.replace('_', '-')}", type=type(value), metavar="NAME" if name == "layout" else "N",
            help=f"{ABOUT[name]} (default {value})",
        )  # fmt: skip
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes that draw (default 1)")
    parser.add_argument("--force", action="store_true", help="replace OUT where it holds another street")
    parser.add_argument(
        "--sheet", type=Path, nargs="?", const=Path("sheet.png"), metavar="FILE.png",
        help="draw a contact sheet to look at, as PNG or JPEG (sheet.png)",
    )  # fmt: skip
    parser.add_argument("--about", metavar="CAUSE", help=f"of --sheet: {', '.join(SHEETS)} (people)")
    return parser


def _configs(options: argparse.Namespace) -> dict[str, StreetConfig]:
    """The streets that are asked for by part: a named split's or one, changed by what else is given."""
    given = {name: value for name in StreetConfig.names() if (value := getattr(options, name)) is not None}
    if options.split is None:
        if options.size is not None:
            raise UserError(f"--size {options.size} is the size of a named split; give --split NAME too")
        return {"street": StreetConfig(**given)}
    streets = split_of(options.split).streets(options.size or "small")
    if len(streets) > 1:  # the parts are cities that differ, and stay so
        first = given.pop("city", 0)
        streets = {part: replace(config, city=config.city + first) for part, config in streets.items()}
    return {part: replace(config, **given) for part, config in streets.items()}


def _told(summary: Summary) -> str:
    """The last line: what there is, how long it took and where it lies."""
    counts = ", ".join(f"{count:,} {split}" for split, count in summary.counts.items()) + " pictures"
    if not summary.fresh:
        return f"{summary.out} already holds this street ({counts}); left as it is"
    speed = summary.pictures / max(summary.seconds, 1e-9)
    return f"wrote {counts} in {summary.seconds:.1f} s ({speed:.0f} pictures/s) to {summary.out}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    options = _parser().parse_args(arguments)
    try:
        configs = _configs(options)
        if options.sheet is not None and options.sheet.suffix.lower() not in FORMATS:
            raise UserError(
                f"--sheet {options.sheet}: a contact sheet is a PNG or a JPEG; end its name in .png or .jpg"
            )
        if options.sheet is None and options.about is not None:
            raise UserError(f"--about {options.about} says what a sheet shows; give --sheet FILE.png too")
        about = options.about or "people"
        sheet_of(about)
        if options.out is None and options.sheet is None:
            raise UserError("nothing to do; give OUT, a folder to write, or --sheet FILE.png to look at a street first")
        if options.out is not None:
            for part, config in configs.items():
                out = options.out if len(configs) == 1 else options.out / part
                print(_told(write_street(out, config, workers=options.workers, force=options.force)))
        if options.sheet is not None:
            sheet = contact_sheet(next(iter(configs.values())), about)
            kind = FORMATS[options.sheet.suffix.lower()]
            write_atomically(options.sheet, lambda file: sheet.save(file, kind, quality=88))
            print(f"drew {options.sheet}")
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; nothing was left half-written", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    end_on_termination()
    sys.exit(exit_status(main))
