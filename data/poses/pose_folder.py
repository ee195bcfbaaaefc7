"""The pose files of several datasets beside each other, and which of them is of a split's pictures.

A file is known by its pictures and not by its name: a split does not know what its dataset was called when the maps
were made, and the same pictures may lie elsewhere by now.
"""

from __future__ import annotations

from pathlib import Path

from common.errors import UserError
from data.poses.pose_file import COMMAND, MANIFEST, PoseFile
from data.samples import Ints, Split


class PoseFolder:
    """Pose files in the folders of a folder, or the one that lies in it itself.

    Raises:
        UserError: there is none, or all are damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        own = (folder / MANIFEST).is_file()
        places = [folder] if own else sorted(path.parent for path in folder.glob(f"*/{MANIFEST}"))
        opened = [_opened(place) for place in places]
        self._files = [file for file in opened if isinstance(file, PoseFile)]
        if not self._files:
            faults = [fault for fault in opened if isinstance(fault, UserError)]
            raise next(iter(faults), UserError(f"there are no maps of joints in {folder}; run {COMMAND}"))

    def find(self, split: Split) -> tuple[PoseFile, Ints]:
        """The file that has maps of all of a split's pictures, and `(N,)` their rows in it.

        Raises:
            UserError: there is none; says what is wrong with the one that has most of them.
        """
        faults = []
        for file in sorted(self._files, key=lambda file: -file.has(split)):
            rows = _rows(file, split)
            if not isinstance(rows, UserError):
                return file, rows
            faults.append(rows)
        raise faults[0]


def _opened(place: Path) -> PoseFile | UserError:
    try:
        return PoseFile(place)
    except UserError as error:
        return error


def _rows(file: PoseFile, split: Split) -> Ints | UserError:
    try:
        return file.rows_of(split)
    except UserError as error:
        return error
