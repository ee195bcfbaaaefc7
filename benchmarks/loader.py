"""Speed of loading, a part at a time and on one core, as ratios within one run.

    .venv/bin/python -m benchmarks.loader            a table for each size of stored pictures
    .venv/bin/python -m benchmarks.loader --json

Pictures of a street are rendered at each size, stored as JPEG and made `--height` x `--width`. All parts give a batch
of `--batch` pictures, on one core, with the files in the system's memory; figures are processor microseconds a picture,
the least of `--repeats` interleaved rounds.

- `decode`, `resize`: Pillow to pixels of the stored size, and of the asked one.
- `floats`: what is widely done: Pillow decodes, resizes, mirrors, pads and crops, then float32, normalising, random
  erasing and stacking, on the CPU, with the same random draws.
- `pillow`, `opencv`: as `data.decoder` (null without OpenCV): decode, resize, draw and augment into a uint8 batch,
  which is normalised on the device; on this CPU `normalise` comes on top.
- `ram`, `disk`: the same from a filled cache; `ram_plain`, `disk_plain`: its rows as they are.
- `draw`, `augment`: of those, the random numbers (bound to seed, epoch and place) and the work on pixels.

Ratios: `pillow_over_floats` and `opencv_over_floats` say how many times as fast as `floats` they are,
`cached_over_decode` and `cached_over_resize` compare `ram_plain` with `decode` and `resize`, and `cached_over_pillow`
compares `ram` with `pillow`. The greatest difference of a pixel between the decoders stands under `levels`.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from benchmarks.arguments import positive
from benchmarks.retrieval import time_interleaved
from configs.schema import Augment, Data
from data.cache import PictureCache, cache_in_memory, cache_on_disk
from data.loader import Pictures, RawBatch
from data.pictures import open_picture
from data.samplers import Key
from data.street import StreetConfig, write_street
from data.transforms import Augmentation, Draw, Pixels, Preprocessing
from engine.launch import run_door

STORED = {"as Market-1501": (128, 64), "as asked": (256, 128), "larger": (800, 320)}
QUALITY = 90
NOISE = 6.0  # standard deviation of what a camera adds; drawn pictures would be too easy to decode
PARTS = {
    "decode": "Pillow: decode",
    "resize": "Pillow: decode, resize",
    "floats": "Pillow to floats, all on the CPU",
    "pillow": "to uint8, decoder pillow",
    "opencv": "to uint8, decoder opencv",
    "ram": "to uint8 from the cache ram",
    "disk": "to uint8 from the cache disk",
    "ram_plain": "the cache ram without augmentation",
    "disk_plain": "the cache disk without augmentation",
    "draw": "of these: draw the augmentation",
    "augment": "of these: augment",
    "normalise": "normalise a uint8 batch on the CPU",
}


class Case:
    """Pictures stored at one size, and every way of making a batch of them."""

    def __init__(self, files: list[Path], asked: argparse.Namespace, folder: Path) -> None:
        data = Data(height=asked.height, width=asked.width)
        self.files, self.preprocessing = files, Preprocessing.of(data)
        self.augmentation = Augmentation(Augment(), self.preprocessing)
        self.keys = [Key(place % len(files), 1, place) for place in range(asked.batch)]
        self.out = np.empty((asked.batch, asked.height, asked.width, 3), np.uint8)
        self.draws = [self.draw(key) for key in self.keys]
        self.resized = [self.read(files[key.row]) for key in self.keys]
        size = (len(files), asked.height, asked.width)
        self.ram, self.disk = cache_in_memory(*size), cache_on_disk(folder / "cache" / "a.pictures", *size)
        for cache in (self.ram, self.disk):
            for row, file in enumerate(files):
                cache.put(row, self.read(file))
        self.batch = self._batch(None)
        mean, std = (torch.tensor(values).view(3, 1, 1) for values in (data.mean, data.std))
        self._mean, self._std = mean, std

    def works(self) -> dict[str, Callable[[], object]]:
        """What is timed, by the names of `PARTS`."""
        works: dict[str, Callable[[], object]] = {
            "decode": lambda: [open_picture(self.files[key.row]) for key in self.keys],
            "resize": lambda: [self.read(self.files[key.row]) for key in self.keys],
            "floats": self.floats,
            "pillow": lambda: self._batch(None),
            "ram": lambda: self._batch(self.ram),
            "disk": lambda: self._batch(self.disk),
            "ram_plain": lambda: self._batch(self.ram, plain=True),
            "disk_plain": lambda: self._batch(self.disk, plain=True),
            "draw": lambda: [self.draw(key) for key in self.keys],
            "augment": self.augment,
            "normalise": lambda: self.preprocessing.normalise(self.batch.pixels),
        }
        if importlib.util.find_spec("cv2"):
            works["opencv"] = lambda: self._batch(None, decoder="opencv")
        return works

    def draw(self, key: Key) -> Draw:
        return self.augmentation.draw(np.random.default_rng(np.array((0, key.epoch, key.position), np.uint32)))

    def read(self, file: Path, decoder: Any = "pillow") -> Pixels:
        """The picture as `(H, W, 3)`."""
        pixels = np.empty(self.out.shape[1:], np.uint8)
        replace(self.preprocessing, decoder=decoder).read(file, pixels)
        return pixels

    def augment(self) -> None:
        for pixels, draw, out in zip(self.resized, self.draws, self.out, strict=True):
            self.augmentation.write(pixels, draw, out)

    def floats(self) -> Tensor:
        """`(B, 3, H, W)` normalised, as without a uint8 path."""
        return torch.stack([self._float(key) for key in self.keys])

    def levels(self) -> int | None:
        """By how much the pixels of the two decoders differ at most."""
        if importlib.util.find_spec("cv2") is None:
            return None
        pairs = ((self.read(file), self.read(file, "opencv")) for file in self.files)
        return max(int(np.abs(one.astype(int) - two).max()) for one, two in pairs)

    def _float(self, key: Key) -> Tensor:
        picture = self.preprocessing.resize(open_picture(self.files[key.row]))
        geometry, pad = self.draw(key).geometry, self.augmentation.config.pad
        if geometry.flip:
            picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        padded = ImageOps.expand(picture, pad, (self.augmentation.config.pad_fill,) * 3)
        right, below = geometry.left + picture.width, geometry.top + picture.height
        cropped = np.array(padded.crop((geometry.left, geometry.top, right, below)))
        pixels = torch.from_numpy(cropped).permute(2, 0, 1).contiguous().float().div_(255)
        pixels.sub_(self._mean).div_(self._std)
        rows = slice(geometry.erase_top, geometry.erase_top + geometry.erase_height)
        pixels[:, rows, geometry.erase_left : geometry.erase_left + geometry.erase_width] = 0
        return pixels

    def _batch(self, cache: PictureCache | None, plain: bool = False, decoder: Any = "pillow") -> RawBatch:
        preprocessing = replace(self.preprocessing, decoder=decoder)
        augmentation = None if plain else self.augmentation
        batch = Pictures(self.files.__getitem__, preprocessing, augmentation, 0, cache).__getitems__(self.keys)
        assert isinstance(batch, RawBatch)
        return batch


def store(folder: Path, height: int, width: int, count: int) -> list[Path]:
    """`count` pictures of a street as JPEG, with a camera's noise."""
    street = folder / "street"
    write_street(
        street, StreetConfig(identities=max(4, -(-count // 8)), cameras=2, shots=2, height=height, width=width)
    )
    files = sorted((street / "bounding_box_train").glob("*.jpg"))[:count]
    random = np.random.default_rng(0)
    for file in files:
        noisy = np.asarray(open_picture(file)) + random.normal(0, NOISE, (height, width, 1))
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(file, quality=QUALITY)
    return files


def _often(name: str) -> int:
    """How many times a part runs in a round: the short ones more than once."""
    return 1 if name in ("decode", "resize", "floats", "pillow", "opencv") else 10


def _times(work: Callable[[], object], often: int) -> Callable[[], None]:
    def all_of_them() -> None:
        for _ in range(often):
            work()

    return all_of_them


def measure(title: str, asked: argparse.Namespace) -> dict[str, Any]:
    """All figures of one size, ready for JSON."""
    height, width = STORED[title]
    with tempfile.TemporaryDirectory() as folder:
        files = store(Path(folder), height, width, asked.pictures)
        case = Case(files, asked, Path(folder))
        works = {name: _times(work, _often(name)) for name, work in case.works().items()}
        time_interleaved(works, 1)
        timings = time_interleaved(works, asked.repeats)
        levels, kilobytes = case.levels(), sum(file.stat().st_size for file in files) / len(files) / 1000
    took = {name: 1e6 * min(timing.cpu) / asked.batch / _often(name) for name, timing in timings.items()}
    figures: dict[str, Any] = {
        "stored": title,
        "stored_height": height,
        "stored_width": width,
        "kilobytes": kilobytes,
        "height": asked.height,
        "width": asked.width,
        "pictures": len(files),
        "batch": asked.batch,
        "repeats": asked.repeats,
        "microseconds": {name: took.get(name) for name in PARTS},
        "per_second": {name: 1e6 / took[name] if name in took else None for name in PARTS},
        "pillow_over_floats": took["floats"] / took["pillow"],
        "opencv_over_floats": took["floats"] / took["opencv"] if "opencv" in took else None,
        "cached_over_decode": took["decode"] / took["ram_plain"],
        "cached_over_resize": took["resize"] / took["ram_plain"],
        "cached_over_pillow": took["pillow"] / took["ram"],
        "levels": levels,
    }
    return figures


def table(sizes: list[dict[str, Any]]) -> str:
    """The figures for reading."""
    lines = []
    for size in sizes:
        lines += [
            f"{size['stored']}: {size['stored_height']}x{size['stored_width']}, {size['kilobytes']:.1f} kB, to"
            f" {size['height']}x{size['width']}; batches of {size['batch']}, one core, {size['repeats']} rounds",
            f"{'':<38}{'us a picture':>13}{'pictures/s':>12}{'x floats':>10}",
        ]
        for name, words in PARTS.items():
            took = size["microseconds"][name]
            if took is None:
                lines.append(f"{words:<38}{'not installed':>13}")
            else:
                lines.append(f"{words:<38}{took:13.1f}{1e6 / took:12.0f}{size['microseconds']['floats'] / took:10.1f}")
        lines.append(
            f"a cached picture is there {size['cached_over_decode']:.1f} x as fast as a decoded,"
            f" {size['cached_over_resize']:.1f} x as a resized one; augmented, {size['cached_over_pillow']:.1f} x"
            + ("" if size["levels"] is None else f"; the decoders differ by {size['levels']} level(s) at most")
        )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--height", type=positive, default=256, help="of what is trained on (%(default)s)")
    parser.add_argument("--width", type=positive, default=128, help="of what is trained on (%(default)s)")
    parser.add_argument("--pictures", type=positive, default=64, help="different ones (%(default)s)")
    parser.add_argument("--batch", type=positive, default=64, help="pictures in a batch (%(default)s)")
    parser.add_argument("--repeats", type=positive, default=9, help="rounds (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    sizes = [measure(title, asked) for title in STORED]
    print(json.dumps({**sizes[0], "sizes": sizes}) if asked.json else table(sizes))
    return 0


if __name__ == "__main__":
    run_door(main)
