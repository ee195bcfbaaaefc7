"""The street: a small, seeded, procedural world of people and cameras that writes ordinary dataset folders.

Every cause is an object of its own: `Person` (people), `Outfit` (outfits), `Pose` (poses), `Camera` (cameras) and
`Scene` (scenes); `World` (world) brings them together, and a picture follows from the config alone.
It is never real data, and no number from it compares with one that was measured on real data.
"""

from data.street.config import StreetConfig
from data.street.standing import Summary
from data.street.writer import write_street

__all__ = ["StreetConfig", "Summary", "write_street"]
