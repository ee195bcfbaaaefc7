"""The input `poses`: maps of the joints `(B, 13 or 17, h, w)`, a quarter as high and wide as the picture.

Whatever they come from (`data.poses.source`), they end where the augmented picture shows the joints.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from common.errors import UserError
from common.files import sha256_of
from configs.schema import Augment, Config, Data, Poses
from data.loader import RawBatch
from data.poses.heatmaps import grid, heatmaps
from data.poses.joints import MERGED, merged, mirrored
from data.poses.keypoints import Joints, Keypoints, read_keypoints
from data.poses.moving import moved_joints, moved_poses
from data.poses.partners import partners
from data.poses.pose_file import PoseFile
from data.poses.pose_folder import PoseFolder
from data.samples import Ints, Split
from data.transforms import Preprocessing
from engine.devices import place
from modeling.pose_network import PoseNetwork, build_pose_network


@dataclass(frozen=True)
class Rows:
    """What the poses of some rows have in common.

    Attributes:
        size: height and width of the pictures in pixels.
        pad: `data.augment.pad` when the pictures are augmented; None when they are not.
        partner: `(N,)` whose joints each row gets; None: its own.
    """

    poses: Poses
    size: tuple[int, int]
    pad: int | None
    partner: Ints | None
    device: torch.device

    def asked(self, raw: RawBatch) -> Ints:
        """`(B,)` the rows whose joints a batch gets."""
        rows: Ints = raw.rows.numpy()
        return rows if self.partner is None else self.partner[rows]


class PosesOfRows(ABC):
    """An `Input`: see `engine.inputs`."""

    plain: Ints | None = None

    def __init__(self, rows: Rows, **facts: Any) -> None:
        self.rows = rows
        poses = rows.poses
        self.facts: Mapping[str, Any] = {
            "source": poses.source,
            "face": poses.face,
            "shuffled": poses.shuffled,
            **facts,
        }

    @property
    def words(self) -> str:
        poses = self.rows.poses
        return f"{poses.source}, {poses.channels} maps{', of other pictures (a control)' if poses.shuffled else ''}"

    @abstractmethod
    def __call__(self, raw: RawBatch, images: Tensor) -> Tensor: ...

    def mirrored(self, values: Tensor) -> Tensor:
        return mirrored(values)

    def finished(self, maps: Tensor, raw: RawBatch) -> Tensor:
        """Maps of pictures as they were: the face's in one, if that is asked for, and moved along with the picture."""
        rows = self.rows
        if rows.poses.channels == MERGED != maps.shape[1]:
            maps = merged(maps)
        if rows.pad is None:
            return maps
        return moved_poses(maps, raw.geometry.to(rows.device), rows.size, rows.pad)


class Zeros(PosesOfRows):
    """No joints anywhere."""

    def __call__(self, raw: RawBatch, images: Tensor) -> Tensor:
        rows = self.rows
        return torch.zeros((len(raw.rows), rows.poses.channels, *grid(*rows.size)), device=rows.device)


class Drawn(PosesOfRows):
    """Gaussians around known joints, which move exactly."""

    def __init__(self, rows: Rows, joints: Joints, content: Sequence[str]) -> None:
        super().__init__(rows, content=list(content))
        self._joints = torch.from_numpy(joints).to(rows.device)

    def __call__(self, raw: RawBatch, images: Tensor) -> Tensor:
        rows = self.rows
        joints = self._joints[torch.from_numpy(rows.asked(raw)).to(rows.device)]
        if rows.pad is not None:
            joints = moved_joints(joints, raw.geometry.to(rows.device), rows.size, rows.pad)
        maps = heatmaps(joints, *rows.size)
        return merged(maps) if rows.poses.channels == MERGED else maps


class Stored(PosesOfRows):
    """Maps from files, one file and its rows for each split."""

    def __init__(self, rows: Rows, found: Sequence[tuple[PoseFile, Ints]]) -> None:
        made_by = [dict(file.contents.made_by) for file, _ in found]
        super().__init__(rows, content=[file.fingerprint for file, _ in found], made_by=made_by)
        self._files = [file for file, _ in found]
        self._file = np.repeat(np.arange(len(found)), [len(of) for _, of in found])
        self._row = np.concatenate([of for _, of in found])

    def __call__(self, raw: RawBatch, images: Tensor) -> Tensor:
        asked = self.rows.asked(raw)
        out = torch.empty((len(asked), self.rows.poses.channels, *grid(*self.rows.size)), device=self.rows.device)
        for number, file in enumerate(self._files):
            here = np.flatnonzero(self._file[asked] == number)
            if len(here):
                maps = torch.from_numpy(file.read(self._row[asked[here]])).to(self.rows.device).float()
                out[torch.from_numpy(here)] = merged(maps) if out.shape[1] == MERGED != maps.shape[1] else maps
        return self.finished(out, raw)


class Estimated(PosesOfRows):
    """What a frozen network sees, in the picture as it was or as published in the augmented one."""

    def __init__(self, rows: Rows, network: PoseNetwork, weights: str, count: int, colours: Preprocessing) -> None:
        super().__init__(rows, network=rows.poses.network, weights=weights)
        self._network, self._colours = network, colours
        # Another picture is not there but as it is on disk, so a shuffled one is always clean.
        self._augmented = rows.poses.input == "augmented" and rows.partner is None
        if rows.partner is not None:
            self.plain = rows.partner
        elif rows.pad is not None and not self._augmented:
            self.plain = np.arange(count)

    def __call__(self, raw: RawBatch, images: Tensor) -> Tensor:
        if self._augmented:
            maps = self._network(images)
            return merged(maps) if self.rows.poses.channels == MERGED else maps
        seen = raw.pixels if raw.plain is None else raw.plain
        maps = self._network(self._colours.normalise(seen.to(self.rows.device, non_blocking=True)))
        return self.finished(maps, raw)


class PoseSource:
    """What `data.poses` asks for; files are read, and a network is built, once."""

    def __init__(self, config: Config) -> None:
        self.config, self.poses = config, config.data.poses
        self.size = (config.data.height, config.data.width)
        self._keypoints: dict[Any, Keypoints] = {}
        self._joints: dict[int, tuple[Split, Joints]] = {}
        self._found: dict[int, tuple[Split, PoseFile, Ints]] = {}

    def of(self, splits: Sequence[Split], device: torch.device, augment: Augment | None) -> PosesOfRows:
        """For the rows of these splits; `UserError` when something is missing for one of the pictures."""
        count = sum(map(len, splits))
        partner = partners(count, self.config.seed) if self.poses.shuffled else None
        rows = Rows(self.poses, self.size, None if augment is None else augment.pad, partner, device)
        makers: dict[str, Callable[[], PosesOfRows]] = {
            "zeros": lambda: Zeros(rows),
            "keypoints": lambda: self._drawn(rows, splits),
            "cached": lambda: Stored(rows, [self._stored(split) for split in splits]),
            "hrnet": lambda: Estimated(rows, self._network_on(device), self._weights, count, self._colours),
        }
        return makers[self.poses.source]()

    def _drawn(self, rows: Rows, splits: Sequence[Split]) -> Drawn:
        files = [self._file(split) for split in splits]
        joints = [self._joints_of(split, file) for split, file in zip(splits, files, strict=True)]
        return Drawn(rows, np.concatenate(joints), [file.fingerprint for file in files])

    def _file(self, split: Split) -> Keypoints:
        path = split.root / self.poses.file.expanduser()
        if path not in self._keypoints:
            self._keypoints[path] = read_keypoints(path)
        return self._keypoints[path]

    def _joints_of(self, split: Split, file: Keypoints) -> Joints:
        if id(split) not in self._joints:
            self._joints[id(split)] = (split, file.of(split, *self.size))
        return self._joints[id(split)][1]

    def _stored(self, split: Split) -> tuple[PoseFile, Ints]:
        if id(split) not in self._found:
            file, rows = self._folder.find(split)
            self._require_fitting(file)
            self._found[id(split)] = (split, file, rows)
        _, file, rows = self._found[id(split)]
        return file, rows

    def _require_fitting(self, file: PoseFile) -> None:
        there, (height, width) = file.contents, self.size
        if (there.height, there.width) != (height, width):
            raise UserError(
                f"the maps in {file.folder} are of pictures of {there.height} x {there.width}, and data.height and"
                f" data.width are {height} and {width}; delete them and run python3 -m engine.pose with --height"
                f" {height} --width {width}"
            )
        if there.channels < self.poses.channels:
            raise UserError(
                f"the maps in {file.folder} have the face in one, and data.poses.face=apart needs {self.poses.channels}"
                " maps; delete them and run python3 -m engine.pose with --face apart, or set data.poses.face=merged"
            )

    @cached_property
    def _folder(self) -> PoseFolder:
        return PoseFolder(self.poses.folder.expanduser())

    @cached_property
    def _network(self) -> PoseNetwork:
        if self.poses.weights is None:
            raise UserError(
                f"poses by hrnet need a COCO checkpoint of {self.poses.network}: data.poses.weights=FILE (eval.py:"
                " --poses-from FILE, engine.pose: --weights FILE); or take data.poses.source=cached, keypoints or zeros"
            )
        return build_pose_network(self.poses.network, self.poses.weights.expanduser())

    def _network_on(self, device: torch.device) -> PoseNetwork:
        return place(self._network, device)

    @cached_property
    def _weights(self) -> str:
        assert self.poses.weights is not None  # or there would be no network
        return sha256_of(self.poses.weights.expanduser())[:16]

    @cached_property
    def _colours(self) -> Preprocessing:
        """How a pose network was trained to see, whatever the run's own mean and deviation are."""
        usual = Data()
        return Preprocessing(*self.size, usual.mean, usual.std)
