"""The borders of what a configuration may say."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from pydantic import ValidationError

from configs.schema import Augment, Batches, Config, Data, Optimizer, Retrieval, Schedule, Section, Term, Train
from retrieval.neighbours.indexes import INDEXES
from retrieval.reranking.expansion import EXPANSIONS


@pytest.mark.parametrize(
    ("term", "on"),
    [
        (Term(weight=2), {1, 2, 3, 4, 5, 1000}),
        (Term(weight=2, from_epoch=3), {3, 4, 5, 1000}),
        (Term(weight=2, until_epoch=3), {1, 2, 3}),
        (Term(weight=2, from_epoch=3, until_epoch=4), {3, 4}),
        (Term(weight=2, from_epoch=4, until_epoch=4), {4}),
        (Term(weight=0), set()),
    ],
)
def test_a_term_counts_in_its_epochs_both_included(term: Term, on: set[int]) -> None:
    for epoch in (1, 2, 3, 4, 5, 1000):
        assert term.at(epoch) == (2 if epoch in on else 0), epoch


def test_identity_batches_hold_whole_identities() -> None:
    assert Batches(size=12, instances=4).size == 12
    with pytest.raises(ValidationError, match="size 10 is not a multiple of instances 4"):
        Batches(size=10, instances=4)
    assert Batches(kind="random", size=10, instances=4).size == 10


def test_domain_batches_have_two_halves() -> None:
    assert Batches(kind="domains", size=10).size == 10
    with pytest.raises(ValidationError, match="size 11 cannot be half source and half target; give an even number"):
        Batches(kind="domains", size=11)


@pytest.mark.parametrize("milestones", [(40, 30), (30, 30), (10, 30, 20)])
def test_milestones_must_ascend(milestones: tuple[int, ...]) -> None:
    with pytest.raises(ValidationError, match="milestones must ascend, got "):
        Schedule(milestones=milestones)


def test_milestones_that_ascend() -> None:
    for milestones in ((), (5,), (5, 6, 70)):
        assert Schedule(milestones=milestones).milestones == milestones


ROOT, OTHER = Path("a"), Path("b")


@pytest.mark.parametrize(
    ("data", "target", "root"),
    [
        (Data(source="duke"), "duke", None),
        (Data(source="duke", root=ROOT), "duke", ROOT),
        (Data(source="duke", root=ROOT, target="duke"), "duke", ROOT),
        (Data(source="duke", root=ROOT, target="market"), "market", None),
        (Data(source="duke", root=ROOT, target="market", target_root=OTHER), "market", OTHER),
        (Data(source="duke", root=ROOT, target="duke", target_root=OTHER), "duke", OTHER),
        (Data(source="duke", root=ROOT, target_root=OTHER), "duke", OTHER),
        (Data(source=("duke", "msmt"), target="market"), "market", None),
        (Data(source=("duke", "msmt"), root=(ROOT, OTHER), target="market"), "market", None),
        (Data(source=("duke", "msmt"), root=(ROOT, OTHER), target="msmt"), "msmt", OTHER),
        (Data(source=("csv", "csv"), root=(ROOT, OTHER), target="csv", target_root=OTHER), "csv", OTHER),
    ],
)
def test_target_and_its_root(data: Data, target: str, root: Path | None) -> None:
    config = Config(data=data)
    assert config.target == target
    assert config.target_root == root


@pytest.mark.parametrize(
    ("keys", "sources"),
    [
        ({"source": "duke"}, (("duke", None),)),
        ({"source": ["duke"]}, (("duke", None),)),
        ({"source": ["duke"], "root": ["a"]}, (("duke", ROOT),)),
        ({"source": ["duke", "msmt"], "target": "market"}, (("duke", None), ("msmt", None))),
        ({"source": ["duke", "msmt"], "root": ["a", None], "target": "x"}, (("duke", ROOT), ("msmt", None))),
        ({"source": ["csv", "csv"], "root": ["a", "b"], "target": "x"}, (("csv", ROOT), ("csv", OTHER))),
    ],
)
def test_sources_and_their_roots(keys: dict[str, object], sources: tuple[tuple[str, Path | None], ...]) -> None:
    data = Data.model_validate(keys)
    assert data.sources == sources
    assert Data.model_validate(data.model_dump(mode="json")) == data
    assert isinstance(data.source, str) == (len(sources) == 1), "a list of one is that one"


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"source": []}, "name at least one dataset to train on"),
        ({"source": ["duke", 3], "target": "x"}, "Input should be a valid string"),
        ({"source": "duke", "root": ["a", "b"]}, "root lists 2 folders for the one source duke; give one"),
        ({"source": ["duke", "msmt"]}, r"of several sources \(duke, msmt\) none is the target; say with data.target"),
        (
            {"source": ["duke", "msmt"], "root": "a", "target": "x"},
            r"root gives 1 folder\(s\) for 2 sources \(duke, msmt\)",
        ),
        ({"source": ["duke", "msmt"], "root": ["a", "b", "c"], "target": "x"}, "give a list of 2"),
        ({"source": ["duke", "duke"], "target": "x"}, "source lists duke twice with the same root"),
        ({"source": ["csv", "csv"], "root": ["a", "b"], "target": "csv"}, "say with data.target_root which one"),
    ],
)
def test_sources_that_do_not_fit(keys: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        Data.model_validate(keys)


@pytest.mark.parametrize(
    ("section", "key", "good", "bad"),
    [
        (Augment, "flip", [0, 1], [-0.01, 1.01]),
        (Augment, "erase", [0, 1], [-0.01, 1.01]),
        (Augment, "jitter", [0, 0.99], [-0.1, 1]),
        (Augment, "pad", [0], [-1]),
        (Augment, "pad_fill", [0, 255], [-1, 256]),
        (Data, "height", [16], [15]),
        (Data, "workers", [0], [-1]),
        (Batches, "instances", [1], [0]),
        (Optimizer, "lr", [1e-9], [0, -1]),
        (Optimizer, "momentum", [0], [1]),
        (Schedule, "gamma", [1], [0, 1.1]),
        (Train, "epochs", [1], [0]),
        (Train, "ema", [0.999, None], [0, 1]),
        (Config, "name", ["a", "1.b_c-d"], ["", ".", "../a", "a/b", "-a", "a b", "a\n"]),
        (Config, "seed", [0], [-1]),
    ],
)
def test_borders(section: type[Section], key: str, good: list[object], bad: list[object]) -> None:
    for value in good:
        assert getattr(section.model_validate({key: value}), key) == value
    for value in bad:
        with pytest.raises(ValidationError):
            section.model_validate({key: value})


def test_a_configuration_cannot_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Config().seed = 3  # type: ignore[misc]


def test_what_retrieval_offers_may_be_configured() -> None:
    """The schema stands below `retrieval` and cannot ask it for its names."""

    def offered(key: str) -> set[object]:
        return set(get_args(Retrieval.model_fields[key].annotation))

    assert offered("index") == set(INDEXES)
    assert offered("expand") == {"none", *EXPANSIONS}


def test_a_term_that_ends_before_it_begins() -> None:
    with pytest.raises(ValidationError, match="until_epoch 2 is before from_epoch 4"):
        Term(from_epoch=4, until_epoch=2)
