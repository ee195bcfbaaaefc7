"""The causes behind a picture: what belongs to whom, and which cause depends on which."""

from __future__ import annotations

from dataclasses import replace

import pytest

from data.street.causes.causes import Causes
from data.street.config import StreetConfig
from data.street.truth import plain
from data.street.world import Shot, World

CONFIG = StreetConfig(identities=6, cameras=3, height=64, width=32)


def told(causes: Causes) -> dict[str, object]:
    """Each cause as JSON, so that equality means what it says."""
    return {
        "person": plain(causes.figure.person),
        "outfit": plain(causes.figure.outfit),
        "pose": plain(causes.figure.pose),
        "camera": plain(causes.camera),
        "stand": plain(causes.stand),
        "exposure": plain(causes.exposure),
        "occluder": plain(causes.occluder),
        "passer": plain(causes.passer),
    }


def differing(left: Causes, right: Causes) -> set[str]:
    before, after = told(left), told(right)
    return {name for name in before if before[name] != after[name]}


@pytest.fixture(scope="module")
def world() -> World:
    return World(CONFIG)


def test_causes_do_not_depend_on_how_many_others_there_are(world: World) -> None:
    more = World(replace(CONFIG, cameras=9, shots=7, identities=50, distractors=3, outfits=2, layout="ltcc"))
    for identity in range(4):
        assert not differing(world.causes(Shot(identity, 2, 3)), more.causes(Shot(identity, 2, 3)))
    first, second = world.draw(Shot(1, 2, 3)), more.draw(Shot(1, 2, 3))
    assert first.picture.tobytes() == second.picture.tobytes()


def test_another_outfit_is_nothing_but_other_clothes(world: World) -> None:
    assert differing(world.causes(Shot(0, 0, 0)), world.causes(Shot(0, 0, 0, outfit=1))) == {"outfit"}


def test_another_moment_is_the_same_person_in_the_same_clothes(world: World) -> None:
    assert differing(world.causes(Shot(0, 0, 0)), world.causes(Shot(0, 0, 1))) == {"pose", "stand", "exposure"}


def test_another_camera_sees_the_same_person_at_another_moment(world: World) -> None:
    changed = differing(world.causes(Shot(0, 0, 0)), world.causes(Shot(0, 1, 0)))
    assert changed == {"camera", "pose", "stand", "exposure"}


def test_another_person_wears_other_clothes(world: World) -> None:
    assert {"person", "outfit", "pose"} <= differing(world.causes(Shot(0, 0, 0)), world.causes(Shot(1, 0, 0)))


@pytest.mark.parametrize("changed", [{"seed": 1}, {"city": 1}])
def test_another_seed_or_city_has_other_people_clothes_and_cameras(world: World, changed: dict[str, int]) -> None:
    other = World(replace(CONFIG, **changed))  # type: ignore[arg-type]
    assert {"person", "outfit", "pose", "camera"} <= differing(world.causes(Shot(0, 0, 0)), other.causes(Shot(0, 0, 0)))


@pytest.mark.parametrize("sharing", [1, 2, 3, 6])
def test_as_many_share_their_clothes_as_are_asked_to_for_training_and_for_the_test(sharing: int) -> None:
    street = World(replace(CONFIG, sharing=sharing, identities=12))
    worn = {identity: repr(plain(street.outfit(identity, 2))) for identity in range(12)}
    training = [worn[identity] for identity in street.training]
    asked = [worn[identity] for identity in set(worn) - street.training]
    assert not set(training) & set(asked)
    for side in (training, asked):
        assert sorted(side.count(one) for one in set(side)) == [sharing] * (6 // sharing)
    assert len({repr(plain(street.person(identity))) for identity in range(12)}) == 12


def test_passers_by_have_clothes_of_their_own() -> None:
    street = World(replace(CONFIG, sharing=6))
    assert plain(street.outfit(6)) != plain(street.outfit(0))


def test_something_is_in_the_way_as_often_as_is_asked() -> None:
    street = World(replace(CONFIG, occluded=0.4, hidden_least=0.2, hidden_most=0.3))
    shots = [Shot(identity, camera, index) for identity in range(6) for camera in range(3) for index in range(12)]
    found = [street.causes(shot) for shot in shots]
    hiding = [causes.occluder for causes in found if causes.occluder is not None]
    assert 0.25 < len(hiding) / len(shots) < 0.55
    assert all(0.2 <= occluder.hidden <= 0.3 for occluder in hiding)
    assert {"scenery", "vehicle", "person", "crop"} == {occluder.family for occluder in hiding}
    assert all(
        (causes.passer is not None) == (causes.occluder is not None and causes.occluder.family == "person")
        for causes in found
    )
    assert all(street.causes(shot, occluded=False).occluder is None for shot in shots)
    assert all(street.causes(shot, occluded=True).occluder is not None for shot in shots)


def test_what_is_in_the_way_is_a_cause_of_its_own(world: World) -> None:
    free, hidden = world.causes(Shot(2, 1, 0), occluded=False), world.causes(Shot(2, 1, 0), occluded=True)
    assert differing(free, hidden) <= {"occluder", "passer"}
