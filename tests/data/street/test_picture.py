"""Pictures and the truth about them: parts, joints, what is hidden, and which cause changes what."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from PIL import Image

from data.street.causes.causes import Causes
from data.street.causes.occluders import THINGS, Occluder
from data.street.causes.outfits import Outfit
from data.street.causes.palette import Array
from data.street.causes.people import Person
from data.street.causes.poses import COCO, Joints, Pose
from data.street.causes.scenes import Scene
from data.street.config import StreetConfig
from data.street.drawing import picture
from data.street.drawing.crops import cropped
from data.street.drawing.fronts import moved, shift_to_hide
from data.street.drawing.parts import Limb, Part, plain, tube
from data.street.drawing.picture import BEHIND_ONESELF, HIDDEN, LABELS, VISIBLE, Drawn, draw, majority
from data.street.drawing.shadows import lightness
from data.street.drawing.views import View
from data.street.world import Shot, World

HEIGHT, WIDTH = 96, 48
FORM = (0.4, 0.6, 0.3)


@pytest.fixture(scope="module")
def world() -> World:
    return World(StreetConfig(identities=12, cameras=4, outfits=2, height=HEIGHT, width=WIDTH))


def causes_of(world: World, number: int) -> Causes:
    return world.causes(Shot(number % 12, number % 4, number // 12), occluded=False)


def whole(causes: Causes) -> Causes:
    """The same in the middle of the picture, with room around."""
    return replace(causes, stand=replace(causes.stand, fill=0.85, shift=(0.0, 0.0)))


def posed(causes: Causes, heading: float, **others: object) -> Causes:
    pose = Pose(phase=0.6, heading=heading, pace=0.1, nod=0.0, turn=0.0, raised=(0.0, 0.0))
    return replace(causes, figure=replace(causes.figure, pose=replace(pose, **others)))  # type: ignore[arg-type]


def before(causes: Causes, family: str, kind: str, side: str, hidden: float) -> Causes:
    colour = np.array([0.3, 0.25, 0.2], dtype=np.float32)
    passer = replace(causes.figure, pose=replace(causes.figure.pose, heading=0.5)) if family == "person" else None
    return replace(causes, occluder=Occluder(family, kind, side, hidden, colour, FORM), passer=passer)


def pixels(drawn: Drawn) -> np.ndarray:
    return np.asarray(drawn.picture).astype(np.int64)


def score(drawn: Drawn, name: str) -> float:
    return float(drawn.joints[COCO.index(name), 2])


def test_majority_is_that_of_loops() -> None:
    labels = np.random.default_rng(0).integers(0, len(LABELS), (12, 9)).astype(np.uint8)
    for samples in (1, 2, 3):
        if labels.shape[0] % samples or labels.shape[1] % samples:
            labels = labels[:, : labels.shape[1] // samples * samples]
        found = majority(labels, samples)
        for row, column in product(*(range(size) for size in found.shape)):
            block = labels[row * samples : (row + 1) * samples, column * samples : (column + 1) * samples].ravel()
            votes = [int((block == label).sum()) for label in range(len(LABELS))]
            assert found[row, column] == max(range(len(LABELS)), key=lambda label: (votes[label], label))


def test_the_same_causes_give_the_same_bytes(world: World) -> None:
    for causes in (causes_of(world, 1), world.causes(Shot(1, 1, 0), occluded=True)):
        first, second = draw(causes, HEIGHT, WIDTH), draw(causes, HEIGHT, WIDTH)
        assert first.picture.tobytes() == second.picture.tobytes()
        assert first.parts.tobytes() == second.parts.tobytes()
        assert first.joints.tobytes() == second.joints.tobytes()
        assert (first.covered, first.cut) == (second.covered, second.cut)


def test_a_picture_has_its_size_its_parts_and_its_joints(world: World) -> None:
    for number in range(6):
        drawn = draw(whole(causes_of(world, number)), HEIGHT, WIDTH)
        assert drawn.picture.size == (WIDTH, HEIGHT)
        assert drawn.picture.mode == "RGB"
        assert drawn.parts.shape == (HEIGHT, WIDTH)
        assert drawn.parts.dtype == np.uint8
        assert {0, 1, 2, 3, 4, 5} <= set(np.unique(drawn.parts).tolist()) <= set(range(7))
        assert drawn.joints.shape == (17, 3)
        assert drawn.joints.dtype == np.float32
        assert set(drawn.joints[:, 2].tolist()) <= {VISIBLE, BEHIND_ONESELF, HIDDEN}
        assert drawn.covered == 0.0
        assert drawn.cut < 0.06


def test_joints_lie_on_the_parts_that_they_belong_to(world: World) -> None:
    owners = {
        "nose": "head", "left_ear": "head", "left_shoulder": "torso arms bag", "right_elbow": "arms torso bag",
        "left_wrist": "arms bag torso", "right_hip": "torso legs arms bag", "left_knee": "legs torso bag",
        "right_ankle": "feet legs",
    }  # fmt: skip
    for number in range(12):
        drawn = draw(whole(causes_of(world, number)), HEIGHT, WIDTH)
        for name, allowed in owners.items():
            x, y, seen = drawn.joints[COCO.index(name)].tolist()
            if seen == VISIBLE and 0 < y < HEIGHT - 1:
                block = drawn.parts[max(int(y) - 1, 0) : int(y) + 2, max(int(x) - 1, 0) : int(x) + 2]
                assert {LABELS.index(part) for part in allowed.split()} & set(block.ravel().tolist()), name


@pytest.mark.parametrize(
    ("heading", "visible", "behind"),
    [
        (0.0, "nose left_eye right_eye left_shoulder right_shoulder left_hip right_hip left_knee right_knee", ""),
        (np.pi, "left_shoulder right_shoulder left_hip right_hip left_knee right_knee", "nose left_eye right_eye"),
        (
            np.pi / 2,
            "nose right_eye right_ear right_shoulder right_elbow",
            "left_ear left_shoulder left_elbow left_hip",
        ),
        (
            -np.pi / 2,
            "nose left_eye left_ear left_shoulder left_elbow",
            "right_ear right_shoulder right_elbow right_hip",
        ),
    ],
)
def test_joints_on_the_far_side_are_behind_oneself(world: World, heading: float, visible: str, behind: str) -> None:
    for number in range(8):
        causes = whole(causes_of(world, number))
        figure = causes.figure
        bare = replace(figure.outfit, bag_kind="none", hat_kind="none")
        head = replace(figure.person, hair_style="cropped", bag_kind="none")
        level = replace(causes, camera=replace(causes.camera, height=1.3, roll=0.0),
                        figure=replace(figure, person=head, outfit=bare))  # fmt: skip
        drawn = draw(posed(level, heading), HEIGHT, WIDTH)
        for name in visible.split():
            assert score(drawn, name) == VISIBLE, (number, name)
        for name in behind.split():
            assert score(drawn, name) == BEHIND_ONESELF, (number, name)


def test_a_coat_hides_no_knees_but_the_trunk_hides_hands_before_it(world: World) -> None:
    causes = whole(causes_of(world, 2))
    coat = replace(causes.figure.outfit, upper_kind="coat", hem=0.6, sleeve=2.0, lower_kind="trousers", bag_kind="none")
    for heading in (0.0, 0.4, np.pi):
        level = replace(causes, figure=replace(causes.figure, outfit=coat))
        drawn = draw(posed(level, heading), HEIGHT, WIDTH)
        assert score(drawn, "left_knee") == VISIBLE
    raised = draw(
        posed(replace(causes, figure=replace(causes.figure, outfit=coat)), 0.0, raised=(1.6, 1.6)), HEIGHT, WIDTH
    )
    turned = draw(
        posed(replace(causes, figure=replace(causes.figure, outfit=coat)), np.pi, raised=(1.6, 1.6)), HEIGHT, WIDTH
    )
    assert score(raised, "left_wrist") == VISIBLE  # before the chest
    assert score(turned, "left_wrist") == BEHIND_ONESELF


def test_what_is_beyond_the_edge_is_cut_and_its_joints_are_still_told(world: World) -> None:
    causes = whole(causes_of(world, 3))
    inside = draw(causes, HEIGHT, WIDTH)
    assert inside.cut == pytest.approx(0.0, abs=0.02)
    down = replace(causes, stand=replace(causes.stand, shift=(0.0, 0.3)))
    cut = draw(down, HEIGHT, WIDTH)
    moved_by = cut.joints[:, :2] - inside.joints[:, :2]
    np.testing.assert_allclose(moved_by, np.tile([0.0, 0.3 * HEIGHT], (17, 1)), atol=0.01)
    assert (score(cut, "left_ankle"), score(cut, "right_ankle")) == (HIDDEN, HIDDEN)
    # The rows that went beyond the edge, counted in the picture where they were inside.
    gone = (inside.parts[round(HEIGHT * 0.7) :] > 0).sum() / (inside.parts > 0).sum()
    assert cut.cut == pytest.approx(float(gone), abs=0.02)


def test_shown_covered_and_cut_make_one_person(world: World) -> None:
    for number, family in enumerate(("person", "scenery", "vehicle", "crop") * 3):
        kind = {"scenery": "wall", "vehicle": "car"}.get(family, family)
        causes = causes_of(world, number)
        side = ("below", "left", "right")[number // 4]
        drawn = draw(before(causes, family, kind, side, 0.4), HEIGHT, WIDTH)
        alone = draw(replace(causes, stand=replace(causes.stand, fill=0.6, shift=(0.0, 0.0))), HEIGHT, WIDTH)
        assert alone.hidden < 0.02
        assert drawn.hidden == drawn.covered + drawn.cut
        if family == "crop":
            assert drawn.covered == 0.0
            continue
        # A person of 0.6 of the height is as many pixels as one of any other fill, but for the scale.
        pixels_whole = float((alone.parts > 0).sum()) * (causes.stand.fill / 0.6) ** 2
        shown = float(((drawn.parts > 0) & (drawn.parts < 7)).sum())
        assert shown / pixels_whole == pytest.approx(1.0 - drawn.hidden, abs=0.05)


KINDS = [("scenery", name) for name, thing in THINGS.items() if thing.family == "scenery"]
KINDS += [("vehicle", name) for name, thing in THINGS.items() if thing.family == "vehicle"]


@pytest.mark.parametrize(("family", "kind"), [*KINDS, ("person", "person"), ("crop", "crop")])
def test_about_as_much_is_hidden_as_shall_be(world: World, family: str, kind: str) -> None:
    thing = THINGS.get(kind)
    missed = []
    for number, (side, wanted) in enumerate(
        product(thing.sides if thing else ("below", "left", "right"), (0.2, 0.4, 0.6))
    ):
        if thing is None or wanted <= thing.most:
            drawn = draw(before(whole(causes_of(world, number)), family, kind, side, wanted), HEIGHT, WIDTH)
            missed.append(abs((drawn.cut if family == "crop" else drawn.covered) - wanted))
            assert (drawn.parts == 7).any() == (family == "person")
            assert drawn.covered == 0.0 or drawn.cut < 0.06
    assert missed
    assert np.mean(np.array(missed) < 0.05) >= 0.9


@pytest.mark.parametrize("side", ["below", "left", "right"])
def test_what_comes_from_a_side_hides_that_side(world: World, side: str) -> None:
    causes = whole(posed(causes_of(world, 5), 0.0))
    alone = draw(causes, HEIGHT, WIDTH)
    for family, kind in (("scenery", "wall"), ("crop", "crop")):
        drawn = draw(before(causes, family, kind, side, 0.45), HEIGHT, WIDTH)
        lost = drawn.joints[:, 2] == HIDDEN
        axis, sign = (1, 1) if side == "below" else (0, 1 if side == "right" else -1)
        assert 3 <= lost.sum() <= 14
        assert sign * alone.joints[lost, axis].mean() > sign * alone.joints[~lost, axis].mean()


def test_joints_behind_a_passer_by_are_hidden(world: World) -> None:
    for number in range(4):
        drawn = draw(before(whole(causes_of(world, number)), "person", "person", "left", 0.5), HEIGHT, WIDTH)
        for x, y, seen in drawn.joints.tolist():
            if 1 <= x < WIDTH - 1 and 1 <= y < HEIGHT - 1:
                block = drawn.parts[int(y) - 1 : int(y) + 2, int(x) - 1 : int(x) + 2]
                if (block == 7).all():
                    assert seen == HIDDEN
                if not (block == 7).any():
                    assert seen > HIDDEN


def test_moving_a_front_is_what_a_loop_over_places_says() -> None:
    generator = np.random.default_rng(0)
    person = generator.random((20, 12)) < 0.5
    for side in ("below", "left", "right"):
        thing = generator.random((20, 12)) < 0.4
        length = 20 if side == "below" else 12
        counts = {shift: int((person & moved(thing, side, shift)).sum()) for shift in range(-length, length + 1)}
        entering = [counts[shift] for shift in range(length, -length - 1, -1)]
        entering = entering[: int(np.argmax(entering)) + 1]
        for wanted in (0, 20, 60, 1000):
            found = counts[shift_to_hide(person, thing, side, wanted)]
            assert abs(found - wanted) == min(abs(count - wanted) for count in entering)


@pytest.mark.parametrize("side", ["below", "left", "right"])
def test_a_front_stops_on_the_side_that_it_comes_from(side: str) -> None:
    block = np.zeros((30, 30), dtype=bool)
    block[10:20, 10:20] = True
    assert shift_to_hide(block, block, side, wanted=30.0) == 7  # 3 of 10 rows or columns hidden, not yet past
    assert shift_to_hide(block, block, side, wanted=500.0) == 0
    # With half of the far row gone it would hide 35 exactly, but only past the place that hides most.
    uneven = block.copy()
    uneven[{"below": (10, slice(15)), "left": (slice(15), 19), "right": (slice(15), 10)}[side]] = False
    assert shift_to_hide(uneven, block, side, wanted=35.0) in (6, 7)


def test_a_box_that_ends_below_shows_less_of_the_scene_from_the_same_top_edge(world: World) -> None:
    causes = before(whole(causes_of(world, 6)), "crop", "crop", "below", 0.5)
    assert causes.occluder is not None
    limb = tube(np.array([0.0, 0.1, 0.0]), np.array([0.0, 1.7, 0.0]), (0.15, 0.15), plain(np.ones(3)), Part.TORSO)
    view, stand = View(0.3, 0.0, 0.0, 50.0, 50.0, (24.0, 90.0)), causes.stand
    closer, seen = cropped([limb], view, stand, causes.occluder, HEIGHT, WIDTH)
    assert closer.scale == pytest.approx(2.0 * view.scale, rel=0.15)
    assert stand.zoom / seen.zoom == pytest.approx(closer.scale / view.scale)
    assert seen.drop * (1.0 - seen.zoom) == pytest.approx(stand.drop * (1.0 - stand.zoom))
    # A point on the upper edge stays there.
    assert closer.centre[1] / closer.scale == pytest.approx(view.centre[1] / view.scale)


def test_what_moves_in_repeats_its_edge_and_leaves_nothing_behind() -> None:
    row = np.array([[1, 2, 3, 4]])
    assert moved(row, "right", 1).tolist() == [[0, 1, 2, 3]]
    assert moved(row, "right", -2).tolist() == [[3, 4, 4, 4]]
    assert moved(row, "left", 1).tolist() == [[2, 3, 4, 0]]
    assert moved(row, "left", -1).tolist() == [[1, 1, 2, 3]]
    assert moved(row.T, "below", 2).ravel().tolist() == [0, 0, 1, 2]


def far_from(*drawn: Drawn) -> np.ndarray:
    """Pixels away from every silhouette, beyond what any lens blurs."""
    taken = np.logical_or.reduce([one.parts > 0 for one in drawn])
    padded = np.pad(taken, 5)
    near: np.ndarray = np.logical_or.reduce(
        [
            padded[row : row + taken.shape[0], column : column + taken.shape[1]]
            for row in range(11)
            for column in range(11)
        ]
    )
    return ~near


def test_another_outfit_leaves_joints_and_background_alone(world: World) -> None:
    for number in range(4):
        causes = causes_of(world, number)
        other = replace(causes, figure=replace(causes.figure, outfit=world.outfit(number + 5, 1)))
        first, second = draw(causes, HEIGHT, WIDTH), draw(other, HEIGHT, WIDTH)
        away = far_from(first, second)
        assert away.sum() > 200
        assert np.abs(pixels(first)[away] - pixels(second)[away]).max() <= 3  # what optics and sharpening carry
        assert (pixels(first) != pixels(second))[~away].mean() > 0.2
        assert (first.joints[:, :2] == second.joints[:, :2]).all()


def test_another_pose_leaves_the_background_alone(world: World) -> None:
    for number in range(4):
        causes = whole(causes_of(world, number))
        other = posed(causes, causes.figure.pose.heading + 0.4)
        first, second = draw(causes, HEIGHT, WIDTH), draw(other, HEIGHT, WIDTH)
        away = far_from(first, second)
        away[HEIGHT // 2 :] = False  # the shadow moves with the feet
        assert away.sum() > 100
        assert np.abs(pixels(first)[away] - pixels(second)[away]).max() <= 6
        assert np.abs(pixels(first)[away] - pixels(second)[away]).mean() < 0.5
        assert (first.joints != second.joints).any()


def test_another_sensor_or_moment_of_it_leaves_the_truth_alone(world: World) -> None:
    causes = world.causes(Shot(2, 1, 1), occluded=True)
    first = draw(causes, HEIGHT, WIDTH)
    brighter = replace(causes, exposure=replace(causes.exposure, gain=causes.exposure.gain * 1.5, grain=7))
    tinted = replace(
        causes, camera=replace(causes.camera, gains=causes.camera.gains[::-1].copy(), noise=9.0, blur=0.01)
    )
    for other in (brighter, tinted):
        second = draw(other, HEIGHT, WIDTH)
        assert pixels(first).tolist() != pixels(second).tolist()
        assert (first.parts == second.parts).all()
        assert (first.joints == second.joints).all()
        assert (first.covered, first.cut) == (second.covered, second.cut)


def test_another_obstacle_leaves_what_it_does_not_hide_alone(world: World) -> None:
    causes = whole(causes_of(world, 4))
    alone, hidden = draw(causes, HEIGHT, WIDTH), draw(before(causes, "scenery", "wall", "below", 0.4), HEIGHT, WIDTH)
    top = slice(0, HEIGHT // 4)
    assert (alone.parts[top] == hidden.parts[top]).all()
    assert np.abs(pixels(alone)[top] - pixels(hidden)[top]).max() == 0
    assert (alone.joints[:, :2] == hidden.joints[:, :2]).all()


def test_there_is_least_light_at_the_feet(world: World) -> None:
    causes = whole(causes_of(world, 1))
    view = causes.camera.view(0.0, causes.stand)
    view = replace(view, scale=40.0, centre=(24.0, 80.0))
    reached = lightness(view, causes.camera, HEIGHT, WIDTH)
    assert reached.shape == (HEIGHT, WIDTH)
    assert 0.0 < reached.min() <= reached[80, 24] < 0.6 < 0.95 < reached[5, 24] <= 1.0


def test_a_bag_hides_the_arm_that_reaches_into_it(world: World) -> None:
    """Wherever the pixel of an elbow or hip shows the person's own bag, the joint is not seen."""
    bags = 0
    for number in range(30):
        for heading in (0.6, 2.2, 4.0, 5.4):
            causes = whole(causes_of(world, number))
            carried = replace(causes.figure.person, bag_kind="crossbody")
            posing = posed(replace(causes, figure=replace(causes.figure, person=carried)), heading)
            drawn = draw(posing, HEIGHT, WIDTH)
            for name in ("left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip"):
                x, y, seen = drawn.joints[COCO.index(name)].tolist()
                if 0 <= x < WIDTH and 0 <= y < HEIGHT:
                    block = drawn.parts[max(int(y) - 1, 0) : int(y) + 2, max(int(x) - 1, 0) : int(x) + 2]
                    if (block == LABELS.index("bag")).all():
                        bags += 1
                        assert seen != VISIBLE, (number, heading, name)
    assert bags > 20


class Wall(Scene):
    """One grey all over, lit evenly."""

    def __init__(self, grey: float) -> None:
        super().__init__(Image.new("RGB", (1, 1)), np.ones(4096, dtype=np.float32))
        object.__setattr__(self, "grey", grey)

    def window(self, place: float, zoom: float, drop: float, height: int, width: int) -> Array:
        return np.full((height, width, 3), vars(self)["grey"], dtype=np.float32)


def plain_camera(causes: Causes) -> Causes:
    """A camera that shows every pixel as it is, and light without shadows."""
    clear = replace(
        causes.camera, blur=0.0, shake=1.0, halo=0.0, noise=0.0, focal=1000.0, lift=0.0, contrast=0.0,
        sun=np.zeros(3, dtype=np.float32), sky=np.ones(3, dtype=np.float32),
    )  # fmt: skip
    return replace(causes, camera=clear)


def test_the_picture_shows_the_person_where_the_part_map_has_them(world: World) -> None:
    """Before a black and before a white wall only the person's pixels are alike; their middle is the part map's."""
    for number in range(6):
        causes = plain_camera(whole(causes_of(world, number)))
        dark, bright = (
            np.asarray(draw(replace(causes, scene=Wall(grey)), 128, 64).picture, dtype=float).mean(axis=2)
            for grey in (0.0, 1.0)
        )
        parts = draw(causes, 128, 64).parts > 0
        # Far above the feet, where no shadow falls on the wall.
        rows = np.arange(128) < 64
        person = 1.0 - np.clip((bright - dark) / max(float((bright - dark).max()), 1.0), 0.0, 1.0)
        person[~rows], parts = 0.0, parts & rows[:, None]
        for axis in (0, 1):
            places = np.arange(person.shape[axis]).reshape(-1, 1) if axis == 0 else np.arange(person.shape[1])
            seen = float((person * places).sum() / person.sum())
            told = float((parts * places).sum() / parts.sum())
            assert seen == pytest.approx(told, abs=0.3), (number, axis)


@pytest.mark.parametrize("name", ["nose", "left_wrist", "right_elbow", "left_knee", "right_ankle"])
def test_a_ball_at_a_joint_is_drawn_where_the_joint_is_told(
    world: World, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ball(person: Person, outfit: Outfit, pose: Pose, at: Joints) -> list[Limb]:
        return [tube(at[name], at[name], (0.06, 0.06), plain(np.ones(3, dtype=np.float32)), Part.TORSO)]

    monkeypatch.setattr(picture, "limbs", ball)
    for number in range(6):
        drawn = draw(whole(causes_of(world, number)), 256, 128)
        x, y, _ = drawn.joints[COCO.index(name)].tolist()
        if 8 < x < 120 and 8 < y < 248:
            rows, columns = np.nonzero(drawn.parts)
            assert float(columns.mean()) + 0.5 == pytest.approx(x, abs=0.35)
            assert float(rows.mean()) + 0.5 == pytest.approx(y, abs=0.35)
