"""Write a street of people seen by cameras, in the layout of Market-1501.

python3 -m data.street OUT --identities 80 --cameras 4 --shots 4 --seed 0 --sheet sheet.png
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from common.errors import UserError
from common.files import write_atomically
from data.street.config import StreetConfig
from data.street.sheet import contact_sheet
from data.street.writer import Summary, write_street


def _parser() -> argparse.ArgumentParser:
    default = StreetConfig()
    parser = argparse.ArgumentParser(
        prog="python3 -m data.street",
        description="Write a folder of procedural people seen by cameras, in the layout of Market-1501: "
        "bounding_box_train, query and bounding_box_test, and street.json with the settings. "
        "The same settings give the same bytes.",
        epilog="A folder that already holds this street is left as it is. It is not real data.",
        allow_abbrev=False,
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="the folder to write")

    def setting(name: str, about: str) -> None:
        value = getattr(default, name)
        flag = f"--{name.replace('_', '-')}"
        parser.add_argument(flag, type=type(value), default=value, metavar="N", help=f"{about} (default {value})")

    setting("identities", "people who are asked for, training and test together")
    setting("cameras", "cameras; each sees everybody")
    setting("shots", "pictures of each person in each camera")
    setting("height", "height of a picture in pixels")
    setting("width", "width of a picture in pixels")
    setting("seed", "another seed gives another street")
    setting("train_share", "part of the identities that is for training")
    setting("distractors", "gallery pictures of passers-by whom no query asks for, named 0000_...")
    setting("city", "another city has other people, cameras and places")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes that draw (default 1)")
    parser.add_argument("--force", action="store_true", help="replace OUT where it holds another street")
    parser.add_argument("--sheet", type=Path, metavar="FILE.png", help="also draw a contact sheet to look at")
    return parser


def _told(summary: Summary) -> str:
    """The last line: what there is, how long it took and where it lies."""
    counts = f"{summary.train:,} train, {summary.query:,} query, {summary.gallery:,} gallery pictures"
    if not summary.fresh:
        return f"{summary.out} already holds this street ({counts}); left as it is"
    speed = summary.pictures / max(summary.seconds, 1e-9)
    return f"wrote {counts} in {summary.seconds:.1f} s ({speed:.0f} pictures/s) to {summary.out}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    options = _parser().parse_args(arguments)
    try:
        config = StreetConfig(**{name: getattr(options, name) for name in StreetConfig.names()})
        if options.sheet is not None and options.sheet.suffix.lower() != ".png":
            raise UserError(f"--sheet {options.sheet}: a contact sheet is a PNG; give a name that ends in .png")
        summary = write_street(options.out, config, workers=options.workers, force=options.force)
        if options.sheet is not None:
            sheet = contact_sheet(config)
            write_atomically(options.sheet, lambda file: sheet.save(file, "PNG"))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; nothing was left half-written", file=sys.stderr)
        return 130
    print(_told(summary))
    return 0


if __name__ == "__main__":
    sys.exit(main())
