"""Files below the dataset's folder that its reader does not read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from data.doctor.case import Case
from data.doctor.findings import Finding, Item, Severity
from data.readers.listing import PICTURE_SUFFIXES

_MOST_GROUPS = 6
_FEW = 5
_NOBODY = "-1"


def unread(case: Case) -> Iterator[Finding]:
    """Pictures that lie among those that are read but are not, those that are not meant to be, and everything else."""
    read = {path.rpartition("/")[0] for path in case.files}
    tops = {folder.partition("/")[0] for folder in read if folder}
    among, nobody, left_out, beside = [], [], [], []
    for path in case.others:
        folder, _, base = path.rpartition("/")
        picture = base.lower().endswith(PICTURE_SUFFIXES)
        near = folder in read or (folder != "" and folder.partition("/")[0] in tops)
        if picture and near and base.startswith(_NOBODY):
            nobody.append(path)
        elif picture and case.layout.leaves_out(path) and case.dataset is not None:
            left_out.append(path)
        elif picture and near and not case.layout.chosen and case.dataset is not None:
            among.append(path)
        else:
            beside.append(path)
    if among:
        yield Finding(
            Severity.WARNING,
            "extra-pictures",
            f"pictures among those of the dataset that are not read: {_grouped(among)}",
            "they are neither trained on nor searched",
            "move them to where the reader looks (no sub-folders, or named in a list), or away",
            _items(among),
        )
    if nobody:
        yield Finding(
            Severity.NOTE,
            "identity-unknown",
            f"pictures of identity -1, which are left out: {_grouped(nobody)}",
            "a detector made them of no single person; the published counts are without them",
            "nothing",
            _items(nobody),
        )
    if left_out:
        yield Finding(
            Severity.NOTE,
            "left-out",
            f"pictures that are left out on purpose: {_grouped(left_out)}",
            "the protocol does not use them: they are of another variant of the dataset, or for other uses",
            "nothing",
            _items(left_out),
        )
    if beside:
        yield Finding(
            Severity.NOTE,
            "unread-files",
            f"other files that are not read: {_grouped(beside)}",
            "this dataset is trained and evaluated without them",
            "nothing, unless a picture is among them that should be read",
            _items(beside),
        )


def _items(paths: Sequence[str]) -> tuple[Item, ...]:
    return tuple(Item((path,)) for path in paths)


def _grouped(paths: Sequence[str]) -> str:
    """How many, and by folder and kind if they are many: `25,260; gt_bbox/ (25,259 .jpg), readme.txt`."""
    if len(paths) <= _FEW:
        return f"{len(paths)}"
    groups: Counter[tuple[str, str]] = Counter()
    names: dict[tuple[str, str], str] = {}
    for path in paths:
        top, slash, _ = path.partition("/")
        base = path.rpartition("/")[2]
        suffix = "." + base.rpartition(".")[2].lower() if "." in base else "without a suffix"
        key = (f"{top}/" if slash else "", suffix)
        groups[key] += 1
        names[key] = path
    told = [
        names[folder, suffix] if count == 1 else f"{folder or 'beside them'} ({count:,} {suffix})"
        for (folder, suffix), count in groups.most_common(_MOST_GROUPS)
    ]
    return f"{len(paths):,}; " + ", ".join(told) + (", ..." if len(groups) > _MOST_GROUPS else "")
