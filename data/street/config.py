"""What a street is asked to be: the one object that, with the code, decides every byte of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

from common.errors import UserError

FORMAT = 2
"""Version of the folder layout and of the drawing: raised whenever the same config would give other pictures."""


@dataclass(frozen=True)
class StreetConfig:
    """The causes a user may set.

    Attributes:
        layout: a name in `data.street.layouts.LAYOUTS`.
        identities: people who are asked for, split into training and test people.
        cameras: cameras along the street; every person is seen by all of them.
        outfits: outfits of each person; only some layouts tell them apart.
        shots: pictures of each person in each camera (and outfit); of a test person's, one is the query.
        height, width: size of a picture in pixels.
        seed: another seed is another street: other people, clothes, cameras and places.
        city: another city has its own people, fashion, cameras and places. Cities 0 and 1, 2 and 3, and so on differ in
            every trait, others as chance has it.
        train_share: the part of the identities that is for training, rounded to whole people.
        distractors: gallery pictures of passers-by whom no query asks for.
        sharing: people who wear the same clothes, 1 for clothes of one's own.
        likeness: how alike bodies are, 0 as in any street to 1 all of one build.
        headings: the part of the pictures in which people head anywhere instead of along the street.
        standing: the part of the pictures in which people stand.
        occluded: the part of the pictures in which something is in the way (of queries in the layout `occluded`: all).
        hidden_least, hidden_most: between which shares of a person are hidden then.
    """

    layout: str = "market"
    identities: int = 80
    cameras: int = 4
    outfits: int = 1
    shots: int = 4
    height: int = 128
    width: int = 64
    seed: int = 0
    city: int = 0
    train_share: float = 0.5
    distractors: int = 0
    sharing: int = 1
    likeness: float = 0.0
    headings: float = 0.2
    standing: float = 0.12
    occluded: float = 0.0
    hidden_least: float = 0.15
    hidden_most: float = 0.6

    def __post_init__(self) -> None:
        """Raise UserError for a street that cannot be trained on or asked about."""
        for name, least, why in _LEAST:
            if getattr(self, name) < least:
                raise UserError(f"{name} is {getattr(self, name)}, but {why}; give {least} or more")
        if max(self.height, self.width) > 1024:
            raise UserError(f"pictures of {self.height}x{self.width} are too large; give at most 1024 a side")
        if self.width > 2 * self.height:
            raise UserError(f"pictures of {self.height}x{self.width} are too wide for a person; give more height")
        if not 0.0 < self.train_share < 1.0:
            raise UserError(f"train_share is {self.train_share}, but it is a part of one; give say 0.5")
        for name in ("likeness", "headings", "standing", "occluded", "hidden_least", "hidden_most"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise UserError(f"{name} is {getattr(self, name)}, but it is a part of one; give 0 to 1")
        if self.hidden_least > self.hidden_most or self.hidden_most > 0.9:
            raise UserError(
                f"hidden_least {self.hidden_least} and hidden_most {self.hidden_most} are no range up to 0.9; "
                "give say 0.15 and 0.6"
            )

    @property
    def train_identities(self) -> int:
        """How many people are for training: at least one, and at least one is left for the test."""
        return min(max(round(self.identities * self.train_share), 1), self.identities - 1)

    def as_dict(self) -> dict[str, str | int | float]:
        """The fields by name, as they are kept in street.json."""
        return asdict(self)

    @classmethod
    def names(cls) -> tuple[str, ...]:
        return tuple(field.name for field in fields(cls))


_LEAST = (
    ("identities", 2, "a street needs somebody to train on and somebody else to look for"),
    ("cameras", 2, "every query needs a match in another camera"),
    ("outfits", 1, "everybody wears something"),
    ("shots", 2, "one picture of each test person and camera is the query and the rest is the gallery"),
    ("height", 32, "a person cannot be told in fewer pixels"),
    ("width", 16, "a person cannot be told in fewer pixels"),
    ("seed", 0, "a seed is a whole number from 0 on"),
    ("city", 0, "a city is a whole number from 0 on"),
    ("distractors", 0, "that is not a number of pictures"),
    ("sharing", 1, "everybody wears clothes of their own or shares them"),
)
