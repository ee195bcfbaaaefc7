"""Queries that can find nobody, and why."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from common.contracts import UNKNOWN
from data.doctor.case import QUERY, Case
from data.doctor.findings import Finding, Severity
from data.readers.checks import CLOTH_CHANGING, NO_CAMERA, positives, without_cameras
from data.samples import Dataset, Ints

ABSENT, SAME_CAMERA, NO_CLOTHES, SAME_CLOTHES = range(4)
_REASONS = ("absent-from-gallery", "no-other-camera", "clothes-unknown", "no-other-clothes")
_WHATS = (
    "queries whose person is not in the gallery",
    "queries whose person no other camera saw in the gallery",
    "queries that have no outfit, or whose person has none in the gallery",
    "queries whose person other cameras saw in the same clothes only",
)
_REMEDIES = (
    "add the gallery pictures of these people, or remove the queries; check that query and gallery number people alike",
    "add gallery pictures from other cameras; if the camera ids mean nothing, leave them empty (reader csv or folders)",
    "fill in the column clothes, or judge with --protocol market",
    "nothing: such queries are asked with --protocol market or same-clothes",
)

_NO_TRACKLET = "add gallery pictures of these people in other tracklets, or remove the queries"


def without_positive(case: Case) -> Iterator[Finding]:
    """Queries without a positive among those that the dataset's protocol asks, grouped by the reason."""
    if case.dataset is None or not len(case.dataset.query) or not len(case.dataset.gallery):
        return
    rule = case.dataset.rule
    changing = rule == CLOTH_CHANGING
    asked = _asked(case, case.dataset)
    query, gallery = case.dataset.query.take(asked), case.dataset.gallery
    if rule == NO_CAMERA:
        query, gallery = without_cameras(query), without_cameras(gallery)
    lonely = positives(query, gallery, other_clothes=changing) == 0
    reasons = np.full(len(query), ABSENT)
    reasons[np.isin(query.pids, gallery.pids)] = SAME_CAMERA
    if changing:
        reasons[positives(query, gallery) > 0] = SAME_CLOTHES
        dressed = gallery.clothes != UNKNOWN
        known = np.isin(query.pids, gallery.pids[dressed]) & (query.clothes != UNKNOWN)
        reasons[(reasons == SAME_CLOTHES) & ~known] = NO_CLOTHES
    rows, unit = case.rows_of(QUERY)[asked], case.layout.unit
    for reason, kind in enumerate(_REASONS):
        chosen = np.flatnonzero(lonely & (reasons == reason))
        if not len(chosen):
            continue
        other = f" in another {unit}" if rule != NO_CAMERA and reason == ABSENT else ""
        remedy = _NO_TRACKLET if unit != "camera" and reason == SAME_CAMERA else _REMEDIES[reason]
        yield Finding(
            _severity(reason, len(chosen), len(query)),
            f"query-{kind}",
            f"{_WHATS[reason].replace('camera', unit)}: {len(chosen):,} of {len(query):,} ({_judged(case.dataset)})",
            f"they have nothing to find{other} and are left out of the scores, which are about fewer people then",
            remedy,
            tuple(case.item(int(rows[row])) for row in chosen),
        )


def _asked(case: Case, dataset: Dataset) -> Ints:
    """The rows of `query` that the dataset's own protocol asks; where that could not be kept to, all of them."""
    camera = case.layout.asked
    mask = np.full(len(dataset.query), True)
    if camera is not None and dataset.rule == CLOTH_CHANGING:
        mask = dataset.query.camids == camera
    return np.flatnonzero(mask)


def _judged(dataset: Dataset) -> str:
    """By what queries were judged here: the protocol's rule, which has a name of its own."""
    rule = "" if dataset.rule == dataset.protocol else f", by the rule {dataset.rule}"
    return f"protocol {dataset.protocol}{rule}"


def _severity(reason: int, count: int, total: int) -> Severity:
    """Where people keep their clothes some queries are always left out; otherwise most of them is too many."""
    if reason == SAME_CLOTHES:
        return Severity.NOTE
    return Severity.PROBLEM if 2 * count > total else Severity.WARNING
