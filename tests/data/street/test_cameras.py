"""Cameras: each within its city's bounds, unlike its neighbours, and what every property does to a picture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from data.street.causes.cameras import BLOCK, Camera
from data.street.causes.cities import City
from data.street.causes.exposures import Exposure
from data.street.causes.palette import Array
from data.street.causes.stands import Stand

HEIGHT, WIDTH = 96, 48
NAMES = (
    "pitch", "distance", "roll", "street", "detail", "exposure", "sun_height", "sunny", "red", "blue", "gamma",
    "contrast", "saturation", "lift", "blur", "shake", "halo", "noise", "quality",
)  # fmt: skip


def read(camera: Camera, name: str) -> float:
    """A trait of the city as the camera has it."""
    gains = np.log(camera.gains / camera.gains[1])
    derived = {
        "detail": 0.2 * camera.focal / camera.distance,
        "exposure": np.log2(camera.exposure),
        "sun_height": np.arcsin(camera.sun_from[1]),
        "sunny": camera.sun[1],
        "red": gains[0],
        "blue": gains[2],
    }
    return float(derived[name] if name in derived else getattr(camera, name))


def block(city: City, seed: int = 0) -> list[Camera]:
    return [Camera.draw(number, city, np.random.default_rng(seed)) for number in range(BLOCK)]


def exposure(gain: float = 1.0, softness: float = 1.0, shake: float = 1.0, grain: int = 7) -> Exposure:
    return Exposure(gain, softness, shake, grain)


@pytest.fixture(scope="module")
def cities() -> tuple[City, City]:
    return City.draw(0, np.random.default_rng(4)), City.draw(1, np.random.default_rng(4))


@pytest.fixture(scope="module")
def clean(cities: tuple[City, City]) -> Camera:
    """One that stores light as it is, but for the tone curve."""
    camera = block(cities[0])[0]
    return replace(
        camera, gains=np.ones(3, dtype=np.float32), exposure=1.0, contrast=0.0, saturation=1.0, lift=0.0, blur=1e-4,
        shake=1.0, halo=0.0, noise=0.0, focal=5.0 * camera.distance,
    )  # fmt: skip


def developed(camera: Camera, light: Array, moment: Exposure | None = None) -> Array:
    picture = camera.develop(light.astype(np.float32), moment or exposure())
    assert picture.size == (light.shape[1], light.shape[0])
    return np.asarray(picture, dtype=np.float32)


def flat(*colour: float) -> Array:
    return np.broadcast_to(np.array(colour, dtype=np.float32), (HEIGHT, WIDTH, 3))


def edge() -> Array:
    return np.where(np.arange(WIDTH)[None, :, None] < WIDTH // 2, 0.1, 0.4) * np.ones((HEIGHT, 1, 3))


@pytest.mark.parametrize("number", [0, 1])
def test_cameras_keep_to_their_city_and_take_every_fifth_of_it(cities: tuple[City, City], number: int) -> None:
    city = cities[number]
    for name in NAMES:
        low, high = city.ranges[name]
        shares = sorted((read(camera, name) - low) / (high - low) for camera in block(city))
        slack = 0.05 if name == "quality" else 1e-3  # a whole number
        for fifth, share in enumerate(shares):
            assert fifth / BLOCK - slack <= share <= (fifth + 1) / BLOCK + slack, name


def test_cameras_of_two_cities_look_from_elsewhere(cities: tuple[City, City]) -> None:
    ours, theirs = (block(city) for city in cities)
    for name in ("height", "distance", "focal"):
        means = [float(np.mean([getattr(camera, name) for camera in cameras])) for cameras in (ours, theirs)]
        assert max(means) > 1.25 * min(means), name
    for name in ("red", "blue"):
        means = [float(np.mean([read(camera, name) for camera in cameras])) for cameras in (ours, theirs)]
        assert abs(means[0] - means[1]) > 0.22, name


def test_lines_follow_from_focal_length_and_distance(clean: Camera) -> None:
    near = replace(clean, focal=20.0, distance=5.0)
    assert near.lines == pytest.approx(0.8)
    assert replace(near, distance=8.0).lines == pytest.approx(0.5)
    assert replace(near, focal=15.0).lines == pytest.approx(0.6)
    stripes = np.where(np.arange(HEIGHT)[:, None, None] % 4 < 2, 0.05, 0.6) * np.ones((1, WIDTH, 3))
    kept = [developed(replace(near, focal=focal), stripes).std() for focal in (10.0, 16.0, 25.0)]
    assert kept[0] < 0.8 * kept[1] < 0.8 * kept[2]


def test_a_wide_lens_lets_people_lean_outwards(clean: Camera, cities: tuple[City, City]) -> None:
    stand = Stand.draw(np.random.default_rng(0), cities[0])
    high = replace(clean, height=5.0, distance=7.0, roll=0.0)

    def lean(focal: float, place: float) -> float:
        return replace(high, focal=focal).view(0.0, replace(stand, place=place, turn=0.0)).roll

    assert lean(15.0, 0.5) == pytest.approx(0.0)
    assert lean(15.0, 0.0) == pytest.approx(-lean(15.0, 1.0))
    assert abs(lean(15.0, 1.0)) > 1.5 * abs(lean(40.0, 1.0)) > 0.0


def test_a_grey_wall_is_stored_by_the_tone_curve(cities: tuple[City, City]) -> None:
    for camera in block(cities[1]):
        bare = replace(camera, noise=0.0, halo=0.0)
        for light in ((0.02, 0.05, 0.04), (0.2, 0.15, 0.3), (0.6, 0.7, 0.4)):
            stored = developed(bare, flat(*light), exposure(gain=1.1))
            expected = [255.0 * value for value in toned(bare, light, 1.1)]
            assert stored.reshape(-1, 3).mean(axis=0) == pytest.approx(expected, abs=2.0)


def toned(camera: Camera, light: tuple[float, float, float], gain: float) -> list[float]:
    """The tone curve step by step."""
    exposed = [value * float(gains) * camera.exposure * gain for value, gains in zip(light, camera.gains, strict=True)]
    grey = 0.30 * exposed[0] + 0.59 * exposed[1] + 0.11 * exposed[2]
    found = []
    for value in exposed:
        mixed = max(grey + camera.saturation * (value - grey), 0.0)
        stored = min(mixed + camera.lift, 1.0) ** camera.gamma
        curve = stored * stored * (3.0 - 2.0 * stored)
        found.append(stored + camera.contrast * (curve - stored))
    return found


def test_the_same_moment_gives_the_same_picture_and_another_other_grain(clean: Camera) -> None:
    noisy, light = replace(clean, noise=4.0), flat(0.2, 0.2, 0.2)
    assert np.array_equal(developed(noisy, light), developed(noisy, light))
    assert not np.array_equal(developed(noisy, light), developed(noisy, light, exposure(grain=8)))


def test_noise_is_as_strong_as_it_says_and_stronger_in_the_dark(clean: Camera) -> None:
    noisy = replace(clean, noise=4.0, gamma=1.0)
    dark, grey, bright = (developed(noisy, flat(v, v, v))[..., 1].std() for v in (0.1, 0.5, 0.85))
    assert 3.2 < grey < 4.8
    assert dark > 1.25 * grey > 1.25 * 1.25 * bright


def test_sharpening_leaves_seams(clean: Camera) -> None:
    plain, haloed = (developed(replace(clean, halo=halo), edge())[HEIGHT // 2, :, 0] for halo in (0.0, 1.0))
    assert haloed.max() > plain.max() + 8.0
    assert haloed.min() < plain.min() - 8.0


def test_blur_is_as_wide_as_it_says_and_shake_smears_sideways(clean: Camera) -> None:
    def width(camera: Camera, light: Array, moment: Exposure | None = None) -> float:
        """Pixels over which an edge rises, as the standard deviation of its slope."""
        row = developed(camera, light, moment)[HEIGHT // 2, :, 0]
        slope = np.clip(np.diff(row), 0.0, None)
        at = np.arange(len(slope))
        centre = (slope * at).sum() / slope.sum()
        return float(np.sqrt((slope * (at - centre) ** 2).sum() / slope.sum()))

    soft = replace(clean, blur=0.03, gamma=1.0)
    assert width(soft, edge()) == pytest.approx(0.03 * HEIGHT, rel=0.15)
    assert width(soft, edge(), exposure(softness=2.0)) > 1.6 * width(soft, edge())
    shaken = replace(clean, shake=2.0, gamma=1.0)
    assert width(shaken, edge()) > 1.3 * width(clean, edge())
    assert width(shaken, edge(), exposure(shake=0.0)) == pytest.approx(width(replace(clean, gamma=1.0), edge()))
