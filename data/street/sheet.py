"""A contact sheet: a look at a street before it is used."""

from __future__ import annotations

from PIL import Image

from data.street.config import StreetConfig
from data.street.world import Shot, World


def contact_sheet(config: StreetConfig, rows: int = 12) -> Image.Image:
    """Pictures of the first `rows` identities, one a row; columns are cameras, and within them shots."""
    world = World(config)
    rows, columns = min(rows, config.identities), config.cameras * config.shots
    gap = 2
    wide, tall = config.width + gap, config.height + gap
    sheet = Image.new("RGB", (columns * wide + gap * config.cameras, rows * tall), "white")
    for identity in range(rows):
        for column in range(columns):
            camera, index = divmod(column, config.shots)
            picture = world.picture(Shot(identity, camera, index))
            sheet.paste(picture, (column * wide + gap * camera, identity * tall))
    return sheet
