"""The shadow of somebody on the ground: what of the light still reaches each pixel around their feet."""

from __future__ import annotations

import numpy as np

from data.street.causes.cameras import Camera
from data.street.causes.palette import Array
from data.street.drawing.views import View


def lightness(view: View, camera: Camera, height: int, width: int) -> Array:
    """How much of the light reaches the ground around somebody, `(height, width)` in (0, 1]."""
    x, y = view.centre
    rows = np.arange(height, dtype=np.float32)[:, None] - np.float32(y)
    columns = np.arange(width, dtype=np.float32)[None, :] - np.float32(x)
    flat = np.float32(max(np.sin(view.pitch), 0.12))
    metre = np.float32(view.scale)
    contact = np.exp(-((columns / (0.28 * metre)) ** 2)) * np.exp(-((rows / (0.28 * flat * metre)) ** 2))
    # Away from the sun lies the long shadow, an ellipse as far as the person is tall.
    away_x, away_y = -float(camera.sun_from[0]), -float(camera.sun_from[2]) * float(flat)
    across, along = columns - 0.55 * away_x * metre, rows + 0.55 * away_y * metre
    length = np.float32(np.hypot(away_x, away_y) + 1e-3)
    ahead = (across * away_x - along * away_y) / (length * (0.6 * length * metre + 1.0))
    aside = (across * away_y + along * away_x) / (length * (0.24 * metre * (0.4 + flat)))
    cast = np.exp(-(ahead * ahead) - aside * aside)
    strength = float(camera.sun.sum() / (camera.sun.sum() + camera.sky.sum()))
    reached: Array = (1.0 - 0.5 * contact) * (1.0 - np.float32(0.75 * strength) * cast)
    return reached.astype(np.float32)
