"""Published weights: fetched once, checked by their SHA-256, loaded so that nothing is left out unnoticed.

Downloads lie in `$REID_CACHE/weights`, or `~/.cache/reid/weights` where that variable is not set. A machine without
a network needs the file put there by hand, under the name it has in its URL.
"""

from __future__ import annotations

import hashlib
import http.client
import logging
import os
import urllib.request
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import torch
from torch import Tensor, nn

from common.errors import UserError, did_you_mean
from common.files import sha256_of, write_atomically
from common.progress import progress

logger = logging.getLogger("reid")

PIECE = 1 << 20
"""Bytes read at a time: 1 MiB."""

PATIENCE = 30.0
"""Seconds without a byte after which a server counts as unreachable."""


@dataclass(frozen=True)
class Weights:
    """A published file and the first hex digits of its SHA-256."""

    url: str
    sha256: str

    @property
    def file(self) -> Path:
        """Where it is kept on this machine."""
        cache = os.environ.get("REID_CACHE")
        folder = Path(cache).expanduser() if cache else Path.home() / ".cache" / "reid"
        return folder / "weights" / self.url.rsplit("/", 1)[-1]


_TORCHVISION = "https://download.pytorch.org/models"  # the ImageNet V1 weights, which every method here started from
_IBN_NET = "https://github.com/XingangPan/IBN-Net/releases/download/v1.0"

WEIGHTS: dict[str, Weights] = {
    "resnet18": Weights(f"{_TORCHVISION}/resnet18-f37072fd.pth", "f37072fd"),
    "resnet34": Weights(f"{_TORCHVISION}/resnet34-b627a593.pth", "b627a593"),
    "resnet50": Weights(f"{_TORCHVISION}/resnet50-0676ba61.pth", "0676ba61"),
    "resnet101": Weights(f"{_TORCHVISION}/resnet101-63fe2227.pth", "63fe2227"),
    "resnet18_ibn_a": Weights(f"{_IBN_NET}/resnet18_ibn_a-2f571257.pth", "2f571257"),
    "resnet34_ibn_a": Weights(f"{_IBN_NET}/resnet34_ibn_a-94bc1577.pth", "94bc1577"),
    "resnet50_ibn_a": Weights(f"{_IBN_NET}/resnet50_ibn_a-d9d0bb7b.pth", "d9d0bb7b"),
    "resnet101_ibn_a": Weights(f"{_IBN_NET}/resnet101_ibn_a-59ea0ac6.pth", "59ea0ac6"),
}

BY_HAND: dict[str, str] = {
    "hrnet_w32": "hrnetv2_w32_imagenet_pretrained.pth of HRNet-Image-Classification, or timm's hrnet_w32.ms_in1k",
    "hrnet_w48": "hrnetv2_w48_imagenet_pretrained.pth of HRNet-Image-Classification, or timm's hrnet_w48.ms_in1k",
}
"""Published files that are not downloaded from here, by the names under which they are found."""


@dataclass(frozen=True)
class LoadReport:
    """What became of a weights file: numbers of tensors.

    Attributes:
        loaded: copied into the backbone.
        missing: the backbone's, not in the file: only BatchNorm's step counters, which files from before PyTorch
            0.4.1 lack and nothing here reads.
        unexpected: in the file, not the backbone's: a classifier, or the heads of a whole re-ID network. Left out.
    """

    loaded: int
    missing: int
    unexpected: int


def ensure_downloaded(name: str, pretrained: str) -> Path | None:
    """The file with the weights that `model.pretrained` asks for; fetched if it is not there yet.

    A launcher calls this once before it starts processes, so that they do not all download.

    Args:
        name: the backbone, a key of `WEIGHTS`.
        pretrained: "none" (no file: returns None), "imagenet", or the path of a file.

    Raises:
        UserError: no such file, no such weights, no network, a wrong checksum.
    """
    if pretrained == "none":
        return None
    if pretrained != "imagenet":
        given = Path(pretrained).expanduser()
        if not given.is_file():
            hint = did_you_mean(pretrained, ("none", "imagenet"))
            raise UserError(f"model.pretrained={pretrained}: no such file{hint or '; give a file, imagenet or none'}")
        return given
    if name in BY_HAND:
        raise UserError(
            f"the ImageNet weights of '{name}' are not downloaded from here; fetch {BY_HAND[name]} by hand, and"
            f" {_alternatives()}"
        )
    if name not in WEIGHTS:
        raise UserError(f"no published ImageNet weights are known for '{name}'; {_alternatives()}")
    weights = WEIGHTS[name]
    if not weights.file.exists():
        _download(weights)
    elif not (found := sha256_of(weights.file)).startswith(weights.sha256):
        raise UserError(
            f"{weights.file} is not the published file: its SHA-256 begins with {found[:8]}, expected "
            f"{weights.sha256}; delete it to have it downloaded again from {weights.url}"
        )
    return weights.file


def load_pretrained(
    backbone: nn.Module, path: Path, *, unused: Collection[str] = ("fc",), remedy: str | None = None
) -> LoadReport:
    """Copy the weights in `path` into `backbone`; every parameter and buffer must be there, in its shape.

    The file holds tensors by name, bare or under "state_dict" or "model"; `module.` and `backbone.` in front of the
    names are dropped. Where names begin with `backbone.`, the others are the heads of a whole network and are left
    out, as are the modules in `unused`.

    Args:
        backbone: any network whose weights are published.
        path: the file.
        unused: top-level modules that the file may hold and `backbone` does not have: its classifier.
        remedy: what the user can do about a file of another network; says how to set `model.pretrained` if not given.

    Raises:
        UserError: the file cannot be read, or does not belong to this backbone.
    """
    found, left_out = _backbone_part(_read(path), unused)
    wanted = backbone.state_dict()
    missing = [key for key in wanted if key not in found]
    absent = [key for key in missing if not key.endswith("num_batches_tracked")]
    strange = [key for key in found if key not in wanted]
    shapes = [
        f"{key} is {tuple(found[key].shape)}, not {tuple(value.shape)}"
        for key, value in wanted.items()
        if key in found and found[key].shape != value.shape
    ]
    if absent or strange or shapes:
        complaints = (("missing", absent), ("unknown", strange), ("of another shape", shapes))
        details = "; ".join(f"{len(keys)} {what} ({_some(keys)})" for what, keys in complaints if keys)
        raise UserError(f"{path} holds the weights of another network: {details}; {remedy or _alternatives()}")
    backbone.load_state_dict(found, strict=False)
    report = LoadReport(loaded=len(found), missing=len(missing), unexpected=len(left_out))
    modules = sorted({key.split(".")[0] for key in left_out})
    logger.info(
        "weights of %s: %d loaded, %d missing, %d unexpected%s",
        *(path, report.loaded, report.missing, report.unexpected, f" ({_some(modules)})" if modules else ""),
    )
    return report


def _alternatives() -> str:
    return "use model.pretrained=/path/to/file.pth or model.pretrained=none (random weights)"


def _some(keys: list[str]) -> str:
    return ", ".join(keys[:3]) + (", …" if len(keys) > 3 else "")


def _download(weights: Weights) -> None:
    """Fetch a file into the cache; it appears there only when complete and with the right checksum."""

    def fill(file: IO[bytes]) -> None:
        digest = hashlib.sha256()
        for piece in _fetched(weights):
            digest.update(piece)
            file.write(piece)
        if not digest.hexdigest().startswith(weights.sha256):
            raise UserError(
                f"{weights.url} arrived with SHA-256 {digest.hexdigest()[:8]}…, expected {weights.sha256}…, and was "
                f"not kept; try again, put the right file at {weights.file} by hand, or {_alternatives()}"
            )

    try:
        write_atomically(weights.file, fill)
    except OSError as error:
        raise UserError(f"cannot write {weights.file}: {error}; free some space or set REID_CACHE") from error
    logger.info("downloaded %s to %s", weights.url, weights.file)


def _fetched(weights: Weights) -> Iterator[bytes]:
    """The content of a URL in pieces of 1 MiB."""
    try:
        with urllib.request.urlopen(weights.url, timeout=PATIENCE) as answer:
            total = -(-int(answer.headers.get("Content-Length") or 0) // PIECE) or None
            pieces = iter(lambda: answer.read(PIECE), b"")
            yield from progress(pieces, total=total, title=weights.file.name, unit="MiB")
    except (OSError, http.client.HTTPException) as error:
        raise UserError(
            f"{weights.url} could not be reached ({getattr(error, 'reason', None) or error}); put the file at "
            f"{weights.file} by hand, or {_alternatives()}"
        ) from error


def _read(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name, unnested."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    except Exception as error:  # on arbitrary bytes the unpickler and the zip reader raise nearly anything
        raise UserError(
            f"{path} is not a file of weights: it is cut short, of another kind, or holds Python objects, which are "
            f"never run; save it again with torch.save(model.state_dict(), path)"
        ) from error
    for nest in ("state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(nest), Mapping):
            content = content[nest]
    if not isinstance(content, Mapping) or not content:
        raise UserError(f"{path} holds no tensors by name; save it with torch.save(model.state_dict(), path)")
    foreign = [str(key) for key, value in content.items() if not (isinstance(key, str) and isinstance(value, Tensor))]
    if foreign:
        raise UserError(f"{path}: not tensors: {_some(foreign)}; save it with torch.save(model.state_dict(), path)")
    return dict(content)


def _backbone_part(tensors: dict[str, Tensor], unused: Collection[str]) -> tuple[dict[str, Tensor], list[str]]:
    """The backbone's tensors under their own names, and the names of the others."""
    named = {key.removeprefix("module."): value for key, value in tensors.items()}
    whole = any(key.startswith("backbone.") for key in named)
    part: dict[str, Tensor] = {}
    left_out: list[str] = []
    for key, value in named.items():
        own = key.removeprefix("backbone.").removeprefix("module.")
        if (whole and not key.startswith("backbone.")) or own.split(".")[0] in unused:
            left_out.append(key)
        else:
            part[own] = value
    return part, left_out
