"""Joints from files: three forms, every size, and a sentence for everything that can be wrong with them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from common.errors import UserError
from data.poses.keypoints import read_keypoints
from data.poses.partners import partners
from data.poses.sizes import size_of
from data.readers import read
from data.samples import Sample, Split

JOINTS = np.random.default_rng(0).uniform(0, 1, (2, 17, 3)).round(3) * [20, 40, 1]
PATHS = ["a/1.png", "a/ö 2.png"]


@pytest.fixture
def split(tmp_path: Path) -> Split:
    """Two pictures, 20 x 40 and 10 x 80."""
    for path, size in zip(PATHS, ((20, 40), (10, 80)), strict=True):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        Image.new("RGB", size).save(tmp_path / path)
    return Split.of(tmp_path, [Sample(path, 1) for path in PATHS])


def whole(more: Any = None) -> dict[str, Any]:
    return dict(zip(PATHS, JOINTS.tolist(), strict=True))


def lines(more: dict[str, Any] | None = None) -> str:
    return "\n".join(json.dumps({"path": p, "joints": j, **(more or {})}) for p, j in whole().items())


FORMS: dict[str, Callable[[], str]] = {
    "plain": lambda: json.dumps(whole()),
    "street": lambda: json.dumps({"joints": ["nose"], "unit": "pixels", "pictures": whole()}, ensure_ascii=False),
    "lines": lambda: lines() + "\n\n",
    "sizes": lambda: json.dumps(
        {p: {"joints": j, "size": size} for (p, j), size in zip(whole().items(), ([20, 40], [10, 80]), strict=True)}
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_forms_say_the_same(split: Split, form: str) -> None:
    file = split.root / "joints.json"
    file.write_text(FORMS[form]())
    if form == "sizes":  # nobody looks at the pictures then
        for path in PATHS:
            split.root.joinpath(path).unlink()
    found = read_keypoints(file).of(split, 80, 40)
    expected = JOINTS * [[[2, 2, 1]], [[4, 1, 1]]]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_allclose(read_keypoints(file).of(split.take(np.array([1])), 80, 40), expected[1:], rtol=1e-6)


def test_a_byte_order_mark_is_no_joint(split: Split) -> None:
    file = split.root / "joints.json"
    file.write_bytes(b"\xef\xbb\xbf" + lines().encode())
    assert list(read_keypoints(file).rows) == PATHS


def test_one_line_is_lines(split: Split) -> None:
    file = split.root / "joints.json"
    file.write_text(lines().splitlines()[0])
    assert list(read_keypoints(file).rows) == PATHS[:1]


def test_the_streets_own_file(street: Path) -> None:
    dataset = read("street", street, "street")
    keypoints = read_keypoints(street / "joints.json")
    told = json.loads((street / "joints.json").read_text())["pictures"]
    found = keypoints.of(dataset.gallery, 32, 16)  # the pictures are of that size
    expected = [told[path] for path in dataset.gallery.paths]
    np.testing.assert_allclose(found, np.array(expected), rtol=1e-6)
    assert (keypoints.of(dataset.gallery, 64, 16)[..., 1] == 2 * found[..., 1]).all()


def test_scores_are_brought_to_0_and_1(split: Split) -> None:
    joints = [[1, 2, 2], [1, 2, -0.1]] + [[1, 2, 0.5]] * 15
    file = split.root / "joints.json"
    file.write_text(json.dumps({"a/1.png": joints}))
    assert read_keypoints(file).joints[0, :3, 2].tolist() == [1, 0, 0.5]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('{"a": [', "joints.json, line 1 is not JSON (Expecting value); it was cut short"),
        ("[1]", "is no file of joints; expected an object"),
        ("{}", "has no joints of any picture"),
        ("[" * 100_000, "joints.json"),
        ('{\n"a": [[1, 2, 3]],\n"b": 1}', "line 2: picture a has 1 joints where 17 joints [x, y, score] are expected"),
        (f'{{"a": {[[1, 2, 3]] * 17},\n"b": 1}}', "line 2: picture b has no joints where 17"),
        (f'{{"a": {[[1, 2]] * 17}}}', "line 1: picture a has joints that are not all three numbers"),
        (f'{{"a": {[[1, 2, "x"]] * 17}}}'.replace("'", '"'), "picture a has joints that are not all three numbers"),
        (f'{{"a": {[[1, 2, 3]] * 16 + [[1, 2]]}}}', "picture a has joints that are not all three numbers"),
        ('{"a": ' + str([[1, 2, 3]] * 16 + [[1, 2, "NaN"]]).replace("'", "") + "}", "a joint that is no finite number"),
        (f'{{"a": {[[1, 2, 3]] * 17},\n\n"a": {[[1, 2, 3]] * 17}}}', "line 3: picture a is there twice"),
        (f'{{"a": {{"joints": {[[1, 2, 3]] * 17}, "size": [0, 4]}}}}', "has the size [0, 4] where [width, height]"),
        (f'{{"a": {{"joints": {[[1, 2, 3]] * 17}, "size": [{10**30}, 4]}}}}', "where [width, height] is expected"),
        (f'{{"a": {[["1", "2", "3"]] * 17}}}'.replace("'", '"'), "picture a has joints that are not all three numbers"),
        ('{"a": ' + str([[1, 2, True]] * 17).lower() + "}", "picture a has joints that are not all three numbers"),
        (f'{{"a": {[[1, 2, 10**400]] * 17}}}', "a joint that is no finite number"),
        (f'{{"path": "a", "joints": {[[1, 2, 3]] * 17}}}\n{{"path": "b"', "line 2 is no picture with its joints"),
        (f'{{"path": "a", "joints": {[[1, 2, 3]] * 17}}}\n{{"joints": []}}', "no picture with its joints (it lacks"),
    ],
)  # fmt: skip
def test_broken_files(tmp_path: Path, content: str, told: str) -> None:
    file = tmp_path / "joints.json"
    file.write_text(content)
    with pytest.raises(UserError) as error:
        read_keypoints(file)
    assert told in str(error.value)
    assert str(file) in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_things(split: Split) -> None:
    file = split.root / "joints.json"
    with pytest.raises(UserError, match="there is no file of joints .*joints.json"):
        read_keypoints(file)
    file.write_text(json.dumps({PATHS[0]: JOINTS[0].tolist()}))
    with pytest.raises(UserError, match="has no joints of 1 of 2 pictures in .*, such as a/ö 2.png"):
        read_keypoints(file).of(split, 80, 40)
    file.write_text(json.dumps(whole()))
    (split.root / PATHS[1]).write_bytes(b"none")
    with pytest.raises(UserError, match="the picture .*ö 2.png cannot be read"):
        read_keypoints(file).of(split, 80, 40)


def test_a_lying_picture_is_measured_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (30, 10)).save(tmp_path / "a.jpg", exif=exif)
    Image.new("RGB", (30, 10)).save(tmp_path / "b.jpg")
    assert size_of(tmp_path / "a.jpg") == (10, 30)
    assert size_of(tmp_path / "b.jpg") == (30, 10)


@pytest.mark.parametrize("count", [2, 3, 100])
def test_partners_are_others(count: int) -> None:
    found = partners(count, 7)
    assert sorted(found.tolist()) == list(range(count))
    assert (found != np.arange(count)).all()
    assert (partners(count, 7) == found).all()
    assert count < 4 or (partners(count, 8) != found).any()


def test_one_picture_has_no_partner() -> None:
    with pytest.raises(UserError, match="the joints of 1 picture"):
        partners(1, 0)
