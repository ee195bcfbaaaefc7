"""Queries that are hidden more and more, and networks in their cities: what is told of the scores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from benchmarks.street import hiding as room
from benchmarks.street.hiding import SHARES, hidden, hiding, queries
from benchmarks.street.trained import cities, supervised
from data.catalog import find
from data.pictures import open_picture
from data.samples import Dataset
from data.street.config import StreetConfig
from data.street.writer import write_street
from retrieval.ranking.results import Scores

CONFIG = StreetConfig(layout="occluded", identities=6, cameras=2, shots=2, height=64, width=32)


def scores(mAP: float, rank_1: float = 0.5) -> Scores:
    return Scores(mAP, mAP, mAP, {1: rank_1, 5: 1.0}, 4, 4, 8, "market", "cosine", False)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    out = tmp_path_factory.mktemp("hidden") / "street"
    write_street(out, CONFIG)
    return find("street", out)


def test_the_same_queries_with_less_and_more_in_the_way(dataset: Dataset, tmp_path: Path) -> None:
    assert {place.path for place in queries(CONFIG)} == set(dataset.query.paths)
    shares = [hidden(CONFIG, share, tmp_path / f"{share}") for share in (0.0, 0.2, 0.5)]
    assert shares[0] < 0.1
    assert shares[1] == pytest.approx(0.2, abs=0.08)
    assert shares[2] == pytest.approx(0.5, abs=0.08)
    for path in dataset.query.paths:
        free, covered = (np.asarray(open_picture(tmp_path / folder / path)) for folder in ("0.0", "0.5"))
        assert not np.array_equal(free, covered)


@pytest.mark.parametrize(
    ("found", "held"), [((0.9, 0.8, 0.7, 0.6, 0.5), True), ((0.9, 0.8, 0.8, 0.6, 0.5), False), ((0.1,) * 5, False)]
)
def test_every_step_has_to_cost_something(
    dataset: Dataset, found: Sequence[float], held: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Dataset] = []
    monkeypatch.setattr(room, "hidden", lambda config, share, folder: share)

    def judge(moved: Dataset) -> Scores:
        asked.append(moved)
        return scores(found[len(asked) - 1])

    finding = hiding(CONFIG, dataset, judge)
    assert finding.held is held
    assert [row[2] for row in finding.rows] == [f"{100 * value:.1f}" for value in found]
    assert len({moved.query.root for moved in asked}) == len(SHARES)
    assert all(moved.gallery is dataset.gallery for moved in asked)


@pytest.mark.parametrize(("there", "held"), [(0.5, True), (0.61, False)])
def test_a_third_has_to_be_lost_either_way(dataset: Dataset, there: float, held: bool) -> None:
    other = Dataset("other", dataset.train, dataset.query, dataset.gallery)
    home = {"city 0": dataset, "city 1": other}

    def judge_of(city: str, away: float):  # type: ignore[no-untyped-def]
        return lambda seen: scores(0.9 if seen is home[city] else away)

    finding = cities({"city 0": judge_of("city 0", there), "city 1": judge_of("city 1", 0.3)}, home)
    assert finding.held is held
    assert finding.rows[1] == ("city 1", "city 0", "90.0", "30.0", "66.7")


@pytest.mark.parametrize(("after", "held"), [((0.8, 0.85), True), ((0.8, 0.79), False), ((0.99, 1.0), False)])
def test_supervised_training_has_room_above_and_below(dataset: Dataset, after: tuple[float, float], held: bool) -> None:
    finding = supervised(lambda _: scores(*after), lambda _: scores(0.1, 0.1), dataset)
    assert finding.held is held
