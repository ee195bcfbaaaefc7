"""An unknown name is answered with the closest known one."""

from __future__ import annotations

import pytest

from common.errors import UserError, did_you_mean, unknown_name

NAMES = ("market", "msmt", "cuhk", "mAP", "rank-1")


@pytest.mark.parametrize(
    ("name", "match"),
    [("markt", "market"), ("Market", "market"), ("mmst", "msmt"), ("map", "mAP"), ("mAPP", "mAP"), ("Rank1", "rank-1")],
)
def test_closest_match(name: str, match: str) -> None:
    assert did_you_mean(name, iter(NAMES)) == f", did you mean '{match}'?"


@pytest.mark.parametrize("name", ["prid", "", "xyz"])
def test_no_match_is_no_hint(name: str) -> None:
    assert did_you_mean(name, NAMES) == ""
    assert did_you_mean("market", ()) == ""


def test_unknown_name_lists_the_known_ones() -> None:
    near, far = (unknown_name("dataset", name, iter(["msmt", "cuhk", "market"])) for name in ("markt", "prid"))
    assert isinstance(near, UserError)
    assert str(near) == "unknown dataset 'markt', did you mean 'market'? known: cuhk, market, msmt"
    assert str(far) == "unknown dataset 'prid'; known: cuhk, market, msmt"
