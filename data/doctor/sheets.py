"""Contact sheets: a few dozen pictures of a split by person, to see in a glance whether labels mean what they say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from common.errors import UserError
from common.files import make_folder, write_atomically
from data.doctor.case import FOLDER, TITLES, Case
from data.pictures import open_picture
from data.samples import Ints

_HEIGHT, _WIDTH = 128, 64
_GAP, _MARGIN = 2, 64
_PEOPLE, _PICTURES = 8, 8
_SEED = 0


def draw_sheets(case: Case, folder: Path) -> tuple[Path, ...]:
    """Write `SPLIT.jpg` into `folder` for every split that has pictures; the same pictures each time.

    Raises:
        UserError: the folder lies in the dataset, or cannot be written.
    """
    if folder.resolve().is_relative_to(case.place.resolve()):
        raise UserError(f"{folder} lies in the dataset {case.place}, where nothing is written; give --sheets elsewhere")
    drawn = []
    for split, title in enumerate(TITLES):
        rows = case.rows_of(split)
        if len(rows):
            sheet, path = _sheet(case, split, rows), make_folder(folder) / f"{title}.jpg"
            write_atomically(path, lambda file, sheet=sheet: sheet.save(file, "JPEG", quality=88))  # type: ignore[misc]
            drawn.append(path)
    return tuple(drawn)


def chosen(case: Case, split: int, rows: Ints) -> list[tuple[str, list[int]]]:
    """The rows to show: some people, of each some pictures from as many cameras as they have; or any pictures."""
    random = np.random.default_rng(_SEED)
    if split == FOLDER:
        some = np.sort(random.permutation(rows)[: _PEOPLE * _PICTURES]).tolist()
        return [("", some[start : start + _PICTURES]) for start in range(0, len(some), _PICTURES)]
    people = np.unique(case.rows.pids[rows])
    result = []
    for pid in np.sort(random.permutation(people)[:_PEOPLE]).tolist():
        of_person = random.permutation(rows[case.rows.pids[rows] == pid])
        cameras = case.rows.camids[of_person]
        # The k-th picture of each camera comes before any camera's next one.
        turn = np.array([np.count_nonzero(cameras[:place] == camera) for place, camera in enumerate(cameras)])
        some = of_person[np.argsort(turn, kind="stable")][:_PICTURES]
        result.append((f"person {pid}", some[np.argsort(case.rows.camids[some], kind="stable")].tolist()))
    return result


def _sheet(case: Case, split: int, rows: Ints) -> Image.Image:
    lines = chosen(case, split, rows)
    size = (_MARGIN + _PICTURES * (_WIDTH + _GAP), len(lines) * (_HEIGHT + _GAP))
    sheet = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(sheet)
    for number, (title, some) in enumerate(lines):
        top = number * (_HEIGHT + _GAP)
        pen.text((4, top + 4), title, fill="black")
        for place, row in enumerate(some):
            left = _MARGIN + place * (_WIDTH + _GAP)
            sheet.paste(_cell(case.place / case.files[int(case.rows.files[row])]), (left, top))
    return sheet


def _cell(path: Path) -> Image.Image:
    """The picture within a cell; a cross where there is none."""
    cell = Image.new("RGB", (_WIDTH, _HEIGHT), "lightgrey")
    try:
        picture = open_picture(path, (_HEIGHT, _WIDTH))
    except UserError:
        pen = ImageDraw.Draw(cell)
        pen.line((0, 0, _WIDTH, _HEIGHT), fill="red", width=3)
        pen.line((0, _HEIGHT, _WIDTH, 0), fill="red", width=3)
        return cell
    scale = min(_WIDTH / picture.width, _HEIGHT / picture.height)
    fitted = picture.resize((max(1, round(picture.width * scale)), max(1, round(picture.height * scale))))
    cell.paste(fitted, ((_WIDTH - fitted.width) // 2, (_HEIGHT - fitted.height) // 2))
    return cell
