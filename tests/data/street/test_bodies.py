"""Bodies in clothes: everything that can be worn is drawn, and belongs to the right person and part."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from data.street import StreetConfig
from data.street.causes.fashion import BAG_KINDS, HAT_KINDS, LOWER_KINDS, PATTERNS, SHOE_KINDS, UPPER_KINDS, Fashion
from data.street.causes.outfits import COLLARS, Outfit
from data.street.causes.people import BEARDS, GLASSES, HAIR_STYLES, TOKEN_KINDS, Person
from data.street.causes.poses import Pose, joints
from data.street.drawing.bodies import Limb, Part, limbs
from data.street.drawing.paint import rasterise
from data.street.drawing.parts import clothed
from data.street.drawing.views import View
from data.street.world import Shot, World

WALK = Pose(phase=0.4, heading=0.0, pace=1.0, nod=0.05, turn=0.1, raised=(0.0, 0.0))
PERSON = replace(Person.draw(np.random.default_rng(1)), token="none", bag_kind="none", beard="none")
OUTFIT = replace(
    Outfit.draw(Fashion.draw(0, np.random.default_rng(0)), np.random.default_rng(2)),
    bag_kind="none",
    hat_kind="none",
    scarf=False,
)

KINDS = [
    *({"upper_kind": kind, "hem": 0.5 if kind in ("coat", "dress") else 0.08} for kind in UPPER_KINDS),
    *({"upper_kind": kind, "opened": True} for kind in ("jacket", "coat", "hoodie")),
    *({"lower_kind": kind, "lower_length": 0.5 if kind in ("shorts", "skirt") else 1.0} for kind in LOWER_KINDS),
    *({"shoe_kind": kind, "lower_length": 0.4} for kind in SHOE_KINDS),
    *({"bag_kind": kind} for kind in BAG_KINDS),
    *({"hat_kind": kind} for kind in HAT_KINDS),
    *({"collar": kind, "upper_kind": "shirt"} for kind in COLLARS),
    *({"upper": replace(OUTFIT.upper, pattern=pattern)} for pattern in PATTERNS),
    *({"sleeve": sleeve} for sleeve in (0.0, 0.6, 1.4, 2.0)),
    *({"fastening": fastening, "upper_kind": "jacket"} for fastening in ("zip", "buttons")),
    {"tucked": True, "upper_kind": "shirt"},
    {"trim": True},
    {"scarf": True},
]
LOOKS = [
    *({"hair_style": style} for style in HAIR_STYLES),
    *({"beard": beard} for beard in BEARDS),
    *({"glasses": glasses} for glasses in GLASSES),
    *({"token": token} for token in TOKEN_KINDS),
    *({"bag_kind": kind} for kind in BAG_KINDS),
]


def dressed(person: Person, outfit: Outfit, pose: Pose = WALK) -> list[Limb]:
    return limbs(person, outfit, pose, joints(person, pose))


def seen(person: Person, outfit: Outfit, heading: float, pose: Pose = WALK) -> np.ndarray:
    """The `Part` of each sample of somebody at 128x64."""
    at = joints(person, pose)
    body = limbs(person, outfit, pose, at)
    view = View(heading, pitch=0.15, roll=0.0, distance=6.0)
    view = view.framed(np.array([*at.values()]), 128, 64, 0.9, (0.0, 0.0))
    return rasterise(body, view, 128, 64).labels(np.array(Part, dtype=np.uint8))


def check(body: list[Limb]) -> None:
    """Every limb can be drawn: finite, of some width, and with colours of light wherever it is seen."""
    along, azimuth = (grid.ravel().astype(np.float32) for grid in np.mgrid[-0.1:0.8:25j, -np.pi : np.pi : 24j])
    assert len(body) <= 30
    for limb in body:
        assert np.isfinite([limb.start, limb.end]).all()
        assert min(*limb.wide, *limb.deep) > 0.0
        assert max(*limb.wide, *limb.deep) < 0.6
        colours = limb.brush(along, azimuth)
        assert colours.shape == (len(along), 3)
        assert np.isfinite(colours).all()
        assert 0.0 <= float(colours.min()) <= float(colours.max()) <= 1.0


@pytest.mark.parametrize("worn", KINDS, ids=lambda worn: "-".join(map(str, worn))[:40])
def test_every_garment_is_drawn(worn: dict[str, object]) -> None:
    outfit = replace(OUTFIT, **worn)  # type: ignore[arg-type]
    for gestures in (("swing", "phone"), ("pocket", "swing"), ("crossed", "crossed")):
        check(dressed(PERSON, outfit, replace(WALK, gestures=gestures)))


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: "-".join(f"{key}-{value}" for key, value in look.items()))
def test_every_look_is_drawn_at_all_headings(look: dict[str, str]) -> None:
    person = replace(PERSON, **look)  # type: ignore[arg-type]
    for hat in HAT_KINDS:
        check(dressed(person, replace(OUTFIT, hat_kind=hat)))
    for heading in np.linspace(-np.pi, np.pi, 5):
        found = set(np.unique(seen(person, OUTFIT, float(heading))).tolist())
        assert {Part.TORSO, Part.ARMS, Part.LEGS, Part.FEET} <= found
        assert {Part.HEAD, Part.HAIR} & found


def test_anybody_in_anything_can_be_drawn() -> None:
    usual = Fashion.draw(1, np.random.default_rng(0))
    for seed in range(80):
        generator = np.random.default_rng(seed)
        person, outfit = Person.draw(generator), Outfit.draw(usual, generator)
        check(dressed(person, outfit, Pose.draw(0.0, 1.0, 0.4, generator)))


@pytest.mark.parametrize("style", sorted(HAIR_STYLES))
def test_hair_does_not_swallow_the_face(style: str) -> None:
    person = replace(PERSON, hair_style=style)
    for heading in (-0.6, 0.0, 0.6):
        found = seen(person, OUTFIT, heading)
        face, hair = (int((found == part).sum()) for part in (Part.HEAD, Part.HAIR))
        assert face > {"afro": 0.25, "curls": 0.3}.get(style, 0.45) * (face + hair), heading


def test_long_hair_covers_the_head_from_behind() -> None:
    for style in ("bob", "long", "curls", "afro"):
        found = seen(replace(PERSON, hair_style=style), OUTFIT, np.pi)
        face, hair = (int((found == part).sum()) for part in (Part.HEAD, Part.HAIR))
        assert hair > 2 * face, style


def test_clothes_do_not_move_the_body() -> None:
    world = World(StreetConfig(identities=3, cameras=2, outfits=4, height=64, width=32))
    places = [world.draw(Shot(1, 1, 1, outfit)).joints[:, :2] for outfit in range(4)]
    for place in places[1:]:
        assert np.array_equal(place, places[0])


def test_a_bag_of_ones_own_is_carried_with_any_clothes() -> None:
    usual = Fashion.draw(0, np.random.default_rng(0))
    own = np.array([0.9, 0.1, 0.4], dtype=np.float32)
    person = replace(PERSON, bag_kind="crossbody", bag=own)
    nothing = np.zeros(1, dtype=np.float32) + np.float32(0.05)
    for seed in range(30):
        body = dressed(person, Outfit.draw(usual, np.random.default_rng(seed)))
        bags = [limb for limb in body if limb.part is Part.BAG]
        assert len(bags) == 1
        assert bags[0].brush(nothing, nothing)[0] == pytest.approx(own)
        straps = [limb for limb in body if limb.part is Part.TORSO]
        assert any(np.isclose(_colours(limb), own * 0.8, atol=1e-3).all(axis=1).any() for limb in straps)
    lent = replace(OUTFIT, bag_kind="backpack")
    assert any(limb.part is Part.BAG for limb in dressed(PERSON, lent))
    assert not any(limb.part is Part.BAG for limb in dressed(PERSON, OUTFIT))


def _colours(limb: Limb) -> np.ndarray:
    along, azimuth = (grid.ravel().astype(np.float32) for grid in np.mgrid[-0.05:0.4:90j, -np.pi : np.pi : 90j])
    return limb.brush(along, azimuth)


@pytest.mark.parametrize("token", sorted(set(TOKEN_KINDS) - {"none"}))
def test_what_somebody_always_wears_shows_on_any_clothes(token: str) -> None:
    usual, colour = Fashion.draw(0, np.random.default_rng(0)), np.array([0.05, 0.9, 0.5], dtype=np.float32)
    person = replace(PERSON, token=token, token_colour=colour)
    for seed in range(12):
        body = dressed(person, Outfit.draw(usual, np.random.default_rng(seed)))
        assert any(np.isclose(_colours(limb), colour, atol=1e-3).all(axis=1).any() for limb in body), seed


@pytest.mark.parametrize("kind", ["coat", "dress"])
def test_no_thigh_shows_through_a_long_coat(kind: str) -> None:
    outfit = replace(OUTFIT, upper_kind=kind, hem=0.5, sleeve=2.0, lower_kind="trousers", lower_length=1.0, slack=0.01)
    stride = replace(PERSON, stride=0.58)
    for phase in np.linspace(0.0, 2 * np.pi, 12):
        pose = replace(WALK, phase=float(phase), pace=1.1)
        at = joints(stride, pose)
        hem = float(at["pelvis"][1]) - 0.5 * stride.legs * stride.height
        legs = [limb for limb in limbs(stride, outfit, pose, at) if limb.part is Part.LEGS]
        bare = [limb for limb in legs if float(limb.end[1]) < hem]
        assert len(bare) >= 2
        assert max(float(limb.start[1]) for limb in bare) < hem + 0.05 * stride.height


def test_sleeves_and_trousers_end_where_they_say() -> None:
    bare = (0.05, 0.04, 0.03)
    found = clothed(bare, covered=0.5, slack=0.01)
    expected = np.interp(np.linspace(0.0, 1.0, 9), (0.0, 0.5, 1.0), bare)
    assert np.subtract(found, expected) == pytest.approx([0.01] * 5 + [0.0] * 4, abs=1e-9)
    assert clothed(bare, covered=0.0, slack=0.01) == bare


def test_a_sleeve_shows_skin_below_its_end_only() -> None:
    outfit = replace(OUTFIT, sleeve=0.5, upper=replace(OUTFIT.upper, pattern="plain"), trim=False)
    upper_arm, forearm = [limb for limb in dressed(PERSON, outfit) if limb.part is Part.ARMS][:2]
    along = np.linspace(0.0, 0.172 * PERSON.height * PERSON.arms, 50, dtype=np.float32)
    skin = np.asarray(np.isclose(upper_arm.brush(along, along), PERSON.skin)).all(axis=1)
    assert np.array_equal(skin, np.sort(skin))
    assert skin.mean() == pytest.approx(0.5, abs=0.05)
    assert np.isclose(forearm.brush(along, along), PERSON.skin).all()


def test_bodies_differ_in_shape() -> None:
    slight, heavy = (replace(PERSON, build=build, belly=max(build, 0.0)) for build in (-1.0, 1.0))
    areas = [float((seen(person, OUTFIT, 0.0) > 0).mean()) for person in (slight, heavy)]
    assert areas[1] > 1.18 * areas[0]
