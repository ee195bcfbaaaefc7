"""Is everything there: the reader's own word, the splits, and the published numbers."""

from __future__ import annotations

from collections.abc import Iterator

from data.doctor.case import QUERY, TITLES, Case
from data.doctor.findings import Finding, Item, Severity
from data.readers.market import NO_COUNTS
from data.samples import Counts, Split


def refusal(case: Case) -> Iterator[Finding]:
    """The reader's sentence when it does not take the dataset."""
    if case.refusal:
        unread = "; what depends on people and splits is not checked" if case.dataset is None else ""
        yield Finding(
            Severity.PROBLEM,
            "refused",
            case.refusal,
            f"training and evaluation stop with the same sentence{unread}",
            "do what the sentence says and ask again"
            + ("" if case.looks is None else "; the pictures were looked at all the same"),
        )


def missing_splits(case: Case) -> Iterator[Finding]:
    """Splits without a picture, but for those that a dataset does not have."""
    if case.dataset is None:
        return
    told = "gallery" if case.refusal else None  # by the reader, when there are queries
    meant = {*case.layout.parts, *case.dataset.published} or {*case.dataset.splits}
    empty = [
        title for title, split in case.dataset.splits.items() if not len(split) and title != told and title in meant
    ]
    if not empty:
        return
    needed = {title: " or ".join(case.layout.parts.get(title, ())) for title in empty}
    items = tuple(
        Item((title,), f"{where} is not there or is empty" if where else "") for title, where in needed.items()
    )
    published = bool(case.dataset.published)
    if empty == ["train"]:
        why = "there is nothing to train on; another dataset's model can be evaluated here"
    elif TITLES[QUERY] in empty and "train" not in empty:
        why = "there is nothing to evaluate on; a model that is trained here needs data.target=NAME"
    else:
        why = (
            "there is nothing to train on and nothing to evaluate on" if "train" in empty else "nothing is searched for"
        )
    yield Finding(
        Severity.PROBLEM if published else Severity.WARNING,
        "missing-split",
        f"there are no {' and no '.join(empty)} pictures",
        why,
        "unpack the archive again and compare the names of its folders with those above"
        if published
        else "nothing, if that is meant; otherwise add the pictures",
        items,
    )


def published(case: Case) -> Iterator[Finding]:
    """Splits with fewer or more pictures or people than the authors published."""
    if case.dataset is None or not case.dataset.published:
        return
    splits = {
        title: (split, case.dataset.published[title])
        for title, split in case.dataset.splits.items()
        if len(split) and title in case.dataset.published
    }
    for fewer in (True, False):
        differing = {title: both for title, both in splits.items() if _lacks(*both) is fewer}
        if not differing:
            continue
        items = tuple(Item((title,), _difference(*both)) for title, both in differing.items())
        has = f"{' and '.join(differing)} {'has' if len(differing) == 1 else 'have'}"
        what = f"{has} {'fewer' if fewer else 'more'} pictures or people than were published"
        another = _another(case)
        if fewer:
            yield Finding(
                Severity.PROBLEM,
                "fewer-than-published",
                what,
                "a part of the download is missing; scores on a smaller gallery are too high and compare with no paper",
                f"download or unpack it again{another}",
                items,
            )
        else:
            yield Finding(
                Severity.WARNING,
                "more-than-published",
                what,
                "files were added or two versions were unpacked over each other; scores compare with no paper",
                f"unpack the archive into an empty folder{another}",
                items,
            )


def _another(case: Case) -> str:
    """What to do when other pictures lie in the same folders: only Market-1501's are shared by datasets."""
    if case.reader != "market":
        return ""
    return (
        "; if this is another dataset in the same folders, give it a name of its own in configs/datasets.yml: "
        f"NAME: {{reader: market, root: {case.place}, variant: {NO_COUNTS}}}"
    )


def _lacks(split: Split, told: Counts) -> bool | None:
    """Whether a split has fewer (or more) than published; None when it is as published."""
    if len(split) != told.images:
        return len(split) < told.images
    if told.identities in (None, split.identities) or told.identities is None:
        return None
    return split.identities < told.identities


def _difference(split: Split, told: Counts) -> str:
    people = "" if told.identities is None else f" and {split.identities:,} of {told.identities:,} people"
    return f"{len(split):,} of {told.images:,} pictures{people}"
